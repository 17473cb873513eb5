"""Forges what is recorded of the root of a container without a mount namespace; called in a throw-away mount namespace.

A runtime that believes it unmounts the host's file systems. Arguments: the runtime, and ROOT/ID of such a container that is
created. Prints how many forgeries were tried.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.host import root_mount


def mounts() -> list[list[str]]:
    """The lines of mountinfo."""
    return [line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def forgeries(row: list[str], right: dict[str, Any]) -> list[Any]:
    """Records of a mount of the host with its right ids, and with some of them."""
    id, parent, place = int(row[0]), int(row[1]), row[4]
    fd = os.open(place, os.O_PATH)
    unique = lib.pyoci_mount_id(fd, 1)
    os.close(fd)
    whole = {"rootfs": place, "unique": unique, "id": id, "parent": parent}
    return [
        whole,
        {**whole, "unique": 0},
        {**whole, "parent": id},
        {**whole, "unique": 0, "id": right["id"], "parent": right["parent"]},
        {**right, "id": id, "parent": parent},
    ]


def delete(runtime: str, entry: Path, forged: Any) -> None:
    """`delete` of a container with a forged record, which has no process and no cgroup."""
    root = Path("/mnt/root")
    copy = root / entry.name
    shutil.rmtree(root, ignore_errors=True)
    copy.mkdir(parents=True)
    root.chmod(0o700)
    copy.chmod(0o711)
    shutil.copyfile(entry / "config.json", copy / "config.json")
    state = json.loads((entry / "state.json").read_text())
    state.update(pid=0, start=0, status="creating", creator=[1, 0], cgroup=None)
    (copy / "state.json").write_text(json.dumps(state))
    (copy / "mount.json").write_text(json.dumps(forged))
    command = [runtime, "--root", str(root), "delete", "--force", entry.name]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    done = ended.returncode == 0 or "another mount lies over it" in ended.stderr
    assert done and "Traceback" not in ended.stderr, ended.stderr


def main() -> None:
    runtime, entry = sys.argv[1], Path(sys.argv[2])
    subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True)
    right = json.loads((entry / "mount.json").read_text())
    before, tried = mounts(), 0
    for row in before:
        if not os.path.isdir(row[4]) or row[4].startswith(right["rootfs"]):
            continue
        for forged in forgeries(row, right):
            try:
                root_mount.remove(forged)
                if row[4] in ("/", "/proc"):
                    delete(runtime, entry, forged)
            except OciError as error:
                assert error.code == "root-unmount", error
            assert mounts() == before, forged
            tried += 1
    print(tried)


if __name__ == "__main__":
    main()
