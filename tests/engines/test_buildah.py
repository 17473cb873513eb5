"""buildah on the runtime: RUN with mounts, users, capabilities and a seccomp profile."""

from __future__ import annotations

import json

from harness.engines import Buildah, make_build_context

DOCKERFILE = """
FROM localhost/box AS one
RUN --mount=type=cache,target=/c echo cached > /c/x && cat /c/x
RUN --mount=type=tmpfs,target=/t grep ' /t ' /proc/mounts
RUN --mount=type=bind,source=file,target=/f cat /f
RUN --mount=type=secret,id=s cat /run/secrets/s
USER 1000:50
WORKDIR /tmp/made
RUN echo user $(id -u):$(id -g) in $(pwd)
FROM localhost/box
COPY --from=one /etc/passwd /copied
RUN ls /copied
"""


def test_a_build(buildah: Buildah) -> None:
    context, secret = make_build_context(buildah, DOCKERFILE)
    told = buildah("bud", "--no-cache", secret, "-t", "built", str(context))
    for words in ("cached", "tmpfs /t ", "from-a-file", "hidden", "user 1000:50 in /tmp/made", "/copied"):
        assert words in told
    (context / "Dockerfile").write_text("FROM localhost/box\nRUN exit 42\n")
    failed = buildah.call("bud", str(context))
    assert failed.returncode == 42 and "exit status 42" in failed.stdout


def test_run_with_capabilities_and_a_seccomp_profile(buildah: Buildah) -> None:
    profile = buildah.folder / "profile.json"
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    name = buildah(
        "from",
        "--security-opt",
        f"seccomp={profile}",
        "--cap-drop",
        "all",
        "--cap-add",
        "chown",
        "localhost/box",
    )
    try:
        script = "grep -E 'CapEff|Seccomp:' /proc/self/status; mkdir /d 2>&1 || true"
        lines = buildah("run", name, "--", "sh", "-c", script).splitlines()
        assert lines[0].split()[1] == "0000000000000001" and lines[1].split()[1] == "2"
        assert "Operation not supported" in lines[2] or "Not supported" in lines[2]
        volume = ("--volume", f"{buildah.folder}:/v:ro")
        assert (
            buildah("run", *volume, name, "--", "sh", "-c", "touch /v/x 2>/dev/null || echo read-only")
            == "read-only"
        )
        assert buildah.call("run", name, "--", "sh", "-c", "exit 5").returncode == 5
    finally:
        buildah("rm", name)
