"""Two containers made in one process, step by step in turn: nothing that belongs to one of them is the process's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")

SCRIPT = """
import json, os, sys
from pyoci.base.context import Context
from pyoci.lifecycle.create import NewContainer
from pyoci.lifecycle.delete import delete
from pyoci.lifecycle.kill import kill
from pyoci.lifecycle.requests import CreateRequest
from pyoci.lifecycle.start import start
from pyoci.lifecycle.states import state

here = os.getcwd()
made = []
for bundle, root, id, log in json.loads(sys.argv[1]):
    context = Context()
    context.log.operation = id
    context.log.configure(log, json=True, debug=False)
    made.append((context, NewContainer(context, CreateRequest(root, id, bundle), waits=True)))
for step in ("_load", "_write_intent", "_make_cgroup", "_start_init", "_run_plans"):
    for _, container in made:
        getattr(container, step)()
for _, container in reversed(made):
    container.record("created")
for _, container in made:
    container.hand_over()
for _, container in reversed(made):
    container.init.send_byte()
    container.close()
assert os.getcwd() == here
for context, container in made:
    request = container.request
    start(context, request.root, request.id, None)
found = [state(context, container.request.root, container.request.id) for context, container in made]
for context, container in reversed(made):
    kill(context, container.request.root, container.request.id, 9)
    delete(context, container.request.root, container.request.id, force=True)
    context.log.finish()
print(json.dumps(found))
"""


def test_interleaved(box: Boxes, folder: Path) -> None:
    asked = []
    for number in range(2):
        made = box("/bin/sleep", "100")
        (made.directory / "data").mkdir(parents=True)
        made.mount("/data", "bind", "data", "bind")  # relative to its own bundle
        made.process["capabilities"] = {"bounding": [f"CAP_OF_{number}"]}
        made.save()
        root = folder / f"root{number}"
        root.mkdir(mode=0o700)
        asked.append([str(made.directory), str(root), made.id, str(folder / f"log{number}")])
    command = [sys.executable, "-c", SCRIPT, json.dumps(asked)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    states = json.loads(ended.stdout)
    assert [(each["id"], each["status"], each["bundle"]) for each in states] == [
        (id, "running", bundle) for bundle, _, id, _ in asked
    ]
    for number, (_, below, id, log) in enumerate(asked):
        lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
        assert [line["operation"] for line in lines] == [id]
        assert f"CAP_OF_{number}" in lines[0]["msg"]
        assert list(Path(below).iterdir()) == []


INTERRUPTED = """
import os, signal, sys
from pyoci.base.context import Context
from pyoci.lifecycle.create import NewContainer, create
from pyoci.lifecycle.delete import delete
from pyoci.lifecycle.requests import CreateRequest

bundle, root = sys.argv[1:]
create(Context(), CreateRequest(root, "first", bundle))
try:
    with NewContainer(Context(), CreateRequest(root, "second", bundle), waits=True) as container:
        container.make()
        os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", sorted(os.listdir(root)))
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
delete(Context(), root, "first", force=True)
print(sorted(os.listdir(root)))
"""


def test_signals_are_those_of_the_program(box: Boxes, folder: Path) -> None:
    """A second container in the same process can be interrupted as the first could, and nothing of it stays."""
    made = box("/bin/sleep", "100")
    made.linux["cgroupsPath"] = ""
    made.save()
    root = folder / "root"
    root.mkdir(mode=0o700)
    command = [sys.executable, "-c", INTERRUPTED, str(made.directory), str(root)]
    with open(folder / "said", "w") as said:
        ended = subprocess.run(command, stdout=said, stderr=said, timeout=60, check=False)
    text = (folder / "said").read_text()
    assert (ended.returncode, text) == (0, "interrupted ['first']\n[]\n")
