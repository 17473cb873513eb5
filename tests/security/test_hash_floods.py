"""Names that collide under a hash seed that anybody can read are not looked up under it.

The static launcher is an image, with the seed of its build. A document with very many members is run by the ordinary interpreter,
which takes its seed from the kernel at each start. What a hook has as its parent tells which of them runs.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from integration.test_piped_documents import pipe

pytestmark = pytest.mark.only("pyoci")

MANY = 1001


def is_static(made: Container) -> bool:
    return "launcher: static" in made.runtime.call("--version", "--verbose").ok().out


def hooked(box: Boxes, folder: Path) -> Container:
    """A container that writes down what program the runtime is, at create, start and delete."""
    made = box("/bin/sleep", "1000")
    for number, name in enumerate(("createRuntime", "poststart", "poststop")):
        script = f"readlink /proc/$PPID/exe > {folder}/{number}"
        made.config.setdefault("hooks", {})[name] = [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
    return made


def programs(made: Container, folder: Path) -> list[str]:
    """Run the container through its life; the names of the programs that did it."""
    made.save()
    made.create()
    made.start()
    made.runtime.call("delete", "--force", made.id).ok()
    return [Path((folder / str(number)).read_text().strip()).name for number in range(3)]


@pytest.mark.parametrize("where", ["annotations", "names that no one knows", "texts", "spread"])
def test_many_members_are_for_the_ordinary_interpreter(box: Boxes, folder: Path, where: str) -> None:
    made = hooked(box, folder)
    names = {f"name{number}": "" for number in range(MANY)}
    if where == "annotations":
        made.config["annotations"] = names
    elif where == "texts":
        made.process["env"] += [f"{name}=" for name in names]
    elif where == "spread":
        made.config["x"] = [dict.fromkeys(list(names)[:900], "") for _ in range(6)]
    else:
        made.config["x"] = names
    assert [name.startswith("python") for name in programs(made, folder)] == [True] * 3


def test_others_are_not(box: Boxes, folder: Path) -> None:
    made = hooked(box, folder)
    made.config["annotations"] = {f"name{number}": "" for number in range(900)}
    if not is_static(made):
        pytest.skip("there is no other interpreter: the launcher is not static")
    assert programs(made, folder) == ["pyoci"] * 3


def test_many_members_that_come_through_a_pipe(box: Boxes) -> None:
    made = box("/bin/true")
    made.config["annotations"] = {f"name{number}": "" for number in range(MANY)}
    made.process["args"] = ["/bin/echo", "from the pipe"]
    text = json.dumps(made.config).encode()
    made.process["args"] = ["/bin/false"]
    made.save()
    with pipe(text) as reader:
        command = ("run", "--bundle", str(made.directory), "--config", "/dev/stdin", made.id)
        assert made.runtime.call(*command, stdin=reader).ok().out == "from the pipe\n"


def test_a_process_with_many_texts_that_comes_through_a_pipe(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    process = {**made.process, "args": ["/bin/sh", "-c", "env | grep -c name"]}
    process["env"] = [f"name{number}=" for number in range(MANY)]
    with pipe(json.dumps(process).encode()) as reader:
        found = made.runtime.call("exec", "--process", "/dev/stdin", made.id, stdin=reader)
    assert found.ok().out == f"{MANY}\n"


def test_the_ordinary_interpreter_has_a_seed_of_its_own_each_time(box: Boxes) -> None:
    """As pyoci starts it, and whatever the environment says."""
    made = box("/bin/true")
    about = made.runtime.call("--version", "--verbose").ok().out
    python = next(line for line in about.splitlines() if line.startswith("interpreter: ")).partition(": ")[2]
    hashes = set()
    for _ in range(3):
        command = [python, "-I", "-X", "utf8", "-c", "print(hash('a'))"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        hashes.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(hashes) == 3
