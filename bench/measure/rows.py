"""The rows of the result: what each figure means, and which target it has to meet."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    `targets` gives for a peer (crun, runc) the highest ratio, of the minimum and of the median, that the
    subject may have to it. `limit` is the highest value that the subject may have by itself. `quotient`:
    the value is not measured but the first row divided by the second.
    """

    key: str
    title: str
    unit: str = "ms"
    targets: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    quotient: tuple[str, str] | None = None


def _targets(crun: float, runc: float) -> dict[str, float]:
    return {"crun": crun, "runc": runc}


ROWS = [
    Row("version", "--version"),
    Row("run", "run, default spec", targets=_targets(1.15, 0.45)),
    Row("rested", "run, default spec, after 100 ms of rest"),
    Row("podman-warm", "run, podman config with seccomp, warm", targets=_targets(1.0, 0.35)),
    Row("podman-cold", "run, podman config with seccomp, cold"),
    Row("check", "check of the slowest engine config", limit=1.0),
    Row("flood-random", "create, 200,000 names, CPU"),
    Row("flood-colliding", "create, 200,000 names that collide, CPU"),
    Row(
        "flood", "names that collide to others", "x", limit=2.0, quotient=("flood-colliding", "flood-random")
    ),
    Row("sequence", "create+start+state+kill+delete", targets=_targets(1.0, 0.6)),
    Row("create", "create"),
    Row("start", "start", targets=_targets(1.5, 1.0)),
    Row("state", "state", targets=_targets(1.5, 1.0)),
    Row("kill", "kill", targets=_targets(1.5, 1.0)),
    Row("delete", "delete", targets=_targets(1.5, 1.0)),
    Row("exec", "exec true", targets=_targets(1.3, 0.5)),
    Row("hundred", "run, 100 in sequence"),
    Row("parallel", "run, 8 at a time"),
    Row("mounts", "run, 200 mounts"),
    Row("lone-state", "state, 1 in ROOT"),
    Row("crowd-state", "state, 1,000 in ROOT"),
    Row("slower-state", "state, 1,000 to 1", "x", limit=1.15, quotient=("crowd-state", "lone-state")),
    Row("lone-create", "create, 1 in ROOT"),
    Row("crowd-create", "create, 1,000 in ROOT"),
    Row("slower-create", "create, 1,000 to 1", "x", limit=1.15, quotient=("crowd-create", "lone-create")),
    Row("crowd-list", "list, 1,000 in ROOT"),
    Row("peak-run", "highest RSS, run", "KiB"),
    Row("peak-create", "highest RSS, create", "KiB"),
    Row("peak-start", "highest RSS, start", "KiB"),
    Row("peak-state", "highest RSS, state", "KiB"),
    Row("peak-exec", "highest RSS, exec", "KiB"),
    Row("peak-kill", "highest RSS, kill", "KiB"),
    Row("peak-delete", "highest RSS, delete", "KiB"),
    Row("created-rss", "created container, resident", "KiB", targets=_targets(0.1, 0.02)),
    Row("created-pss", "created container, PSS", "KiB"),
    Row("memory-limit", "smallest memory limit", "KiB", targets=_targets(1.0, 0.15)),
    Row("size", "size on disk", "KiB"),
    Row("size-libraries", "size on disk with shared libraries", "KiB"),
    Row("instructions-version", "instructions, --version", "thousand"),
    Row("instructions-create", "instructions, create", "thousand"),
    Row("instructions-start", "instructions, start", "thousand"),
    Row("instructions-state", "instructions, state", "thousand"),
    Row("instructions-kill", "instructions, kill", "thousand"),
    Row("instructions-delete", "instructions, delete", "thousand"),
]
BY_KEY = {row.key: row for row in ROWS}
