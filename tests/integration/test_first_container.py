"""What docs/first-container.md and docs/rootless.md tell people to type does what they say."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from harness import machine
from harness.bundle import busybox
from harness.engines import make_archive, make_layer
from harness.runtime import Runtime
from harness.terminal import Seat

DOCS = machine.repository() / "docs"
NOBODY = 65534
# The names of the bundles and containers on these pages
NAMES = r"\b(box|plain|fetched|mine)\b"

pytestmark = pytest.mark.only("pyoci")


def script(page: str, heading: str) -> str:
    """The commands of a section."""
    section = (DOCS / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert lines
    return "\n".join(lines) + "\n"


@pytest.fixture
def place(runtime: Runtime, folder: Path) -> Path:
    """A directory to work in, with a folder `bin` in which pyoci is the runtime under test, and sudo does nothing."""
    if not machine.is_root():
        pytest.skip("people call sudo here")
    made = folder / "place"
    (made / "bin").mkdir(parents=True)
    for name, call in (("pyoci", f"{runtime.path} --root {runtime.root}"), ("sudo", "")):
        (made / "bin" / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        (made / "bin" / name).chmod(0o755)
    return made


def played(place: Path, text: str, tag: str, user: int | None = None) -> str:
    """What came to the terminal on which the commands were typed; a shell in a container is asked something and left.

    The names of containers get `tag` before them, since their cgroups are the machine's.
    """
    file = place / "typed"
    file.write_text(re.sub(NAMES, rf"{tag}\1", text.replace("/bin/busybox", str(busybox()))))
    seat = Seat()
    environment = os.environ | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    process = seat.run(
        ["bash", "-e", str(file)], cwd=place, env=environment, user=user, group=user,
        extra_groups=None if user is None else [],
    )  # fmt: skip
    if "pyoci run " in text:
        seat.master.until("/ # ")
        seat.master.type("echo $((6 * 7)) as $$; exit\n")
        seat.master.until("42 as 1")
    assert process.wait(60) == 0, seat.master.text()
    os.close(seat.slave)
    return seat.master.rest()


def test_from_one_program_and_in_steps(place: Path, scratch: Path) -> None:
    tag = f"{scratch.name}-{place.parent.name}-"
    shown = played(place, script("first-container.md", "From one program"), tag)
    assert "config.json: no problems" in shown and "/process/args" in shown
    shown = played(place, script("first-container.md", "In steps, as an engine does it"), tag)
    assert '"status": "running"' in shown and "sleep 1000" in shown
    assert re.search(rf"^{tag}box +\d+ +running ", shown, re.MULTILINE)


def test_from_an_image(place: Path, scratch: Path) -> None:
    if not (shutil.which("skopeo") and shutil.which("umoci")):
        pytest.skip("skopeo and umoci are not installed")
    make_archive(place, make_layer(place), "sh")
    text = script("first-container.md", "From an image")
    text = re.sub(r"docker://\S+", "oci:layout", text)  # there is no registry here
    played(place, text, f"{scratch.name}-{place.parent.name}-")


def test_from_an_archive_of_files(place: Path, scratch: Path) -> None:
    make_layer(place).rename(place / "rootfs.tar")
    played(
        place,
        script("first-container.md", "From an archive of files"),
        f"{scratch.name}-{place.parent.name}-",
    )


def test_without_root(place: Path, scratch: Path, runtime: Runtime) -> None:
    os.chown(place, NOBODY, NOBODY)
    (place / "bin/pyoci").write_text(f'#!/bin/sh\nexec {runtime.path} --root {place}/root "$@"\n')
    played(place, script("rootless.md", "By hand"), f"{scratch.name}-{place.parent.name}-", NOBODY)
