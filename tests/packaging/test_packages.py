"""The packages, made as for a release and used as on the machines they are for: a fresh Debian, and one without Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine, trees
from harness.engines import remove_cgroups
from harness.trees import Tree
from unit.documents import document

TOP = machine.repository()
TOOLS = ["mmdebstrap", "dpkg-source", "busybox", "xz"]
BUNDLE = {
    "ociVersion": "1.2.0",
    "process": {"args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/"},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
}


@pytest.fixture(scope="module", autouse=True)
def asked_for() -> None:
    if os.environ.get("PYOCI_TEST_PACKAGE", "") != "1":
        pytest.skip(
            "PYOCI_TEST_PACKAGE=1 makes and tries the packages: some ten minutes, and Debian from a mirror"
        )
    if not machine.is_root():
        pytest.skip("it takes root to make root file systems")
    missing = [name for name in TOOLS if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory for packages and root file systems, which may be larger than the one for temporary files."""
    directory = TOP / "build/test-packages"
    trees.remove(directory)
    directory.mkdir(parents=True)
    yield directory
    trees.remove(directory)


@pytest.fixture(scope="module")
def archive(place: Path) -> Path:
    """The archive."""
    return Path(make("build-archive", str(place)).split()[-1])


@pytest.fixture(scope="module")
def package(place: Path) -> Path:
    """The Debian package, built from its source package on a Debian 12 with nothing but its build dependencies, and lintian."""
    make("build-deb", "--source", str(place / "source"))
    tree = trees.debian(place / "builder")
    shutil.copytree(place / "source", tree.root / "build")
    told = tree.run("""
        cd /build
        apt-get -qq install -y build-essential lintian >log 2>&1 || { cat log; exit 1; }
        apt-get -qq build-dep -y ./*.dsc >log 2>&1 || { cat log; exit 1; }
        useradd builder
        chown -R builder .
        su builder -c 'dpkg-source -x *.dsc tree && cd tree && dpkg-buildpackage -us -uc' >log 2>&1 || { cat log; exit 1; }
        su builder -c 'lintian --fail-on error,warning *.changes'
    """)  # fmt: skip
    print(told)
    (found,) = (tree.root / "build").glob("*.deb")
    return Path(shutil.copy(found, place))


def told(page: str, *words: str) -> str:
    """The lines of a page that people are told to type and that have one of the words in them, as a script of root's."""
    lines = [line for line in document(page).blocks if any(word in line for word in words)]
    assert len(lines) == len(words), lines
    return "\n".join(line.removeprefix("sudo ") for line in lines)


def make(*command: str) -> str:
    done = subprocess.run(
        [TOP / "packaging" / command[0], *command[1:]],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def bundles(tree: Tree) -> None:
    """Put bundles/hello and one that waits to be killed, with busybox, into /srv of a tree."""
    subprocess.run([TOP / "bundles/make-rootfs", "hello", "shell"], check=True, capture_output=True)
    for name in ("hello", "shell"):
        shutil.copytree(TOP / "bundles" / name, tree.root / "srv" / name, symlinks=True)
    (tree.root / "srv/shell/config.json").write_text(json.dumps(BUNDLE))


def test_the_package_on_a_fresh_debian(place: Path, package: Path) -> None:
    tree = trees.debian(place / "fresh")
    bundles(tree)
    shutil.copy(package, tree.root / "tmp")
    tree.run("cd /tmp\n" + told("docs/install.md", "_amd64.deb"))
    shown = tree.run("""
        test ! -e /usr/bin/gcc
        dpkg-query -W -f '${Depends}\\n${Static-Built-Using}\\n' pyoci
        pyoci --version --verbose
        pyoci run --bundle /srv/hello hello
        pyoci validate /srv/hello
        pyoci doctor >/tmp/doctor || true
        grep embedded /tmp/doctor
        for name in man/man1/pyoci.1.gz man/man1/pyoci-create.1.gz bash-completion/completions/pyoci \\
            zsh/vendor-completions/_pyoci fish/vendor_completions.d/pyoci.fish; do
            test -s /usr/share/$name
        done
    """)  # fmt: skip
    assert "python3 (<< 3.12), python3 (>= 3.11~)" in shown
    assert all(f"{name} (= " in shown for name in ("python3.11", "libffi", "libseccomp", "musl"))
    assert "launcher: static\n" in shown and "package: /usr/lib/pyoci/pyoci\n" in shown
    assert 'Hello from a container: process 1 on host "hello"' in shown
    assert "/srv/hello/config.json: no problems" in shown
    assert "  yes      Python 3.11" in shown, "it was built on a machine as new as this one"

    shown = tree.run("""
        apt-get -qq install -y podman >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
        pyoci engine-config podman --write
        pyoci engine-config podman --check
        printf '[containers]\\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\\n' >/tmp/limits
        mv /tmp/limits /etc/containers/containers.conf.d/60-limits.conf
        tar -C /srv/shell/rootfs -c . | podman import --quiet - busybox
        podman run --network none --name one localhost/busybox echo words from podman
        podman inspect --format 'runtime: {{.OCIRuntime}}' one
        podman rm one
    """)  # fmt: skip
    assert "\nwords from podman\n" in shown and "\nruntime: pyoci\n" in shown

    use_docker(tree)
    shown = tree.run(
        "apt-get -qq purge -y pyoci >/dev/null 2>&1; ls -d /usr/lib/pyoci /usr/bin/pyoci 2>&1 || true"
    )
    assert shown.count("No such file") == 2


def use_docker(tree: Tree) -> None:
    """docker, installed and then told by the package to use it."""
    # A network namespace of its own, as dockerd changes what it finds; it is to start when this says so, not with its package
    shown = tree.run("""
        printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        apt-get -qq install -y docker.io >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
        mkdir -p /etc/docker
        cat >/etc/docker/daemon.json <<END
{"bridge": "none", "iptables": false, "storage-driver": "vfs", "cgroup-parent": "/pyoci-package"}
END
        pyoci engine-config docker --check && exit 1
        pyoci engine-config docker --write
        unshare --net sh -exc '
            dockerd >/tmp/log 2>&1 &
            trap "kill $!; wait $! || true" EXIT
            for attempt in $(seq 150); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
            docker version || cat /tmp/log
            pyoci engine-config docker --check
            tar -C /srv/shell/rootfs -c . | docker import - busybox
            docker run --network none --name two busybox /bin/echo words from docker
            docker inspect --format "runtime: {{.HostConfig.Runtime}}" two
            docker rm two'
    """)  # fmt: skip
    assert "\ndocker: /usr/bin/pyoci\n" in shown
    remove_cgroups("pyoci-package")
    assert "\nwords from docker\n" in shown and "\nruntime: pyoci\n" in shown


def test_the_front_page_on_a_fresh_debian(place: Path) -> None:
    """All that docs/index.md tells people to type; the image is there already, for there is no registry."""
    tree = trees.debian(place / "front")
    bundles(tree)
    (tree.root / "tree").mkdir()
    copy = 'git ls-files -z | tar --null -T - -c | tar -x -C "$0"'
    subprocess.run(["sh", "-ec", copy, tree.root / "tree"], cwd=TOP, check=True)
    first, *others = [line.removeprefix("sudo ") for line in document("docs/index.md").blocks]
    assert len(others) == 4
    tree.run(f"""
        {first}
        mkdir -p /etc/containers/containers.conf.d
        cat >/etc/containers/containers.conf.d/60-test.conf <<END
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
END
        tar -C /srv/shell/rootfs -c . | podman import --quiet - docker.io/library/busybox
    """)
    shown = tree.run("\n".join(["cd /tree", *others])).splitlines()
    assert "podman and buildah: /tree/.venv/bin/pyoci" in shown and shown[-1] == "Hello from a container"


def test_the_archive_without_python(place: Path, archive: Path) -> None:
    tree = trees.busybox(place / "busybox", shutil.which("busybox") or "")
    bundles(tree)
    shutil.copy(archive, tree.root)
    tree.run("mkdir -p /opt /usr/local/bin\n" + told("docs/install.md", "-linux-x86_64.tar.xz", "ln -s /opt"))
    shown = tree.run("""
        pyoci run --bundle /srv/hello hello
        pyoci create --bundle /srv/shell a </dev/null >/out 2>&1
        pyoci state a
        pyoci start a
        pyoci exec a echo words from exec
        pyoci pause a
        pyoci list
        pyoci resume a
        pyoci ps --format json a
        pyoci features
        pyoci --version
        pyoci kill a KILL
        pyoci delete --force a
        pyoci state a || true
    """)
    assert 'Hello from a container: process 1 on host "hello"' in shown
    assert '"status": "created"' in shown and "\nwords from exec\n" in shown
    assert re.search(r"^a +\d+ +paused ", shown, re.MULTILINE) and re.search(
        r"^\[\d+\]$", shown, re.MULTILINE
    )
    assert '"SCMP_ARCH_X86_64"' in shown or os.uname().machine != "x86_64"
    assert "\npyoci version " in shown
    assert "does not exist" in shown.splitlines()[-3]
    for command in ("update a", "validate /srv/hello", "doctor", "plan /srv/hello", "create --bundle /srv a"):
        (tree.root / "srv/config.json").write_text("{}")
        done = tree.call("/usr/local/bin/pyoci", *command.split())
        first, second = done.stdout.splitlines()
        assert done.returncode == 1 and first.startswith(f"pyoci: {command.split()[0]}: ")
        assert (
            "cannot start the interpreter /usr/bin/python3" in first and "with cffi and jsonschema" in second
        )
    (root,) = (tree.root / "opt").iterdir()
    for path in root.rglob("*"):
        if path.is_file() and path.suffix != ".md":
            assert str(TOP).encode() not in path.read_bytes(), path
