"""A runtime in a container of the same runtime: an ordinary user's container holds another one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes

pytestmark = pytest.mark.rootless
# What docker and podman give to a container: to map the host id 0 takes the last one
ENGINES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE"),
    *("CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_SETFCAP"),
)


def hold_runtime(made: Container) -> None:
    """Let the runtime be called inside: it finds its files at their places, and an unmasked /proc to mount its own."""
    for place in ("/usr", "/lib", "/lib64", str(machine.repository()), str(made.runtime.path.parent)):
        if Path(place).exists():
            made.mount(place, "bind", str(Path(place).resolve()), "rbind", "ro")
    made.linux.pop("maskedPaths", None)
    made.linux.pop("readonlyPaths", None)


def inner_bundle(made: Container, name: str, *args: str, user_namespace: bool) -> None:
    """A bundle at /NAME of the container: the same container once more, with or without a user namespace of its own."""
    config: dict[str, Any] = json.loads(json.dumps(made.config))
    config["process"]["args"] = (
        list(args)
        if args
        else ["/bin/sh", "-c", "echo $(id -u) $(cat /proc/self/uid_map) $(hostname) $(cat /proc/1/comm)"]
    )
    config["hostname"] = name
    config["root"]["path"] = "/inner"
    linux = config["linux"]
    if user_namespace:
        for kind in ("uidMappings", "gidMappings"):
            linux[kind] = [{"containerID": 0, "hostID": 0, "size": 1}]
    else:
        linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] != "user"]
        del linux["uidMappings"], linux["gidMappings"]
    (made.rootfs / name).mkdir()
    (made.rootfs / name / "config.json").write_text(json.dumps(config))


@pytest.mark.only("pyoci")
def test_a_container_in_a_container(rootless: Boxes, user: int) -> None:
    """With a user namespace of its own, and without one, which takes CAP_SYS_ADMIN in the outer container."""
    made = rootless("/bin/true")
    shutil.copytree(made.rootfs, made.rootfs / "inner", symlinks=True)
    made.linux.pop("resources", None)
    inner_bundle(made, "own", user_namespace=True)
    inner_bundle(made, "same", user_namespace=False)
    inner_bundle(made, "held", "/bin/sleep", "1000", user_namespace=True)
    hold_runtime(made)
    call = f"{made.runtime.path} --root /tmp/root"
    steps = [f"{call} run -b /own own", f"{call} run -d -b /held held", f"{call} exec held hostname"]
    steps += [f"{call} delete -f held", f"{call} run -b /same same", "ls /tmp/root"]
    made.args("/bin/sh", "-c", " && ".join(steps))
    found = made.run(check=False).failed("the uid map (0 to 0 x 1) cannot be written", "CAP_SETFCAP")
    assert found.out == ""
    made.capabilities(*ENGINES)
    found = made.run(check=False).failed("operation not permitted", "a container needs a new user namespace")
    assert found.lines() == ["0 0 0 1 own sh", "held"]
    made.capabilities(*ENGINES, "CAP_SYS_ADMIN")
    assert made.run().lines() == ["0 0 0 1 own sh", "held", f"0 0 {user} 1 same sh"]
