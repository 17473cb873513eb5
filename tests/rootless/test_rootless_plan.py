"""`pyoci plan` of an ordinary user shows what `run` of that user executes."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.boxes import Boxes
from root.test_plan_and_run import nest, run, shown

pytestmark = [pytest.mark.only("pyoci"), pytest.mark.rootless]


def test_one_id(rootless: Boxes, folder: Path) -> None:
    """Without cgroups that it may make, a container has none: nothing is joined."""
    run(rootless("/bin/true"), folder)


def test_root_of_a_user_namespace(rootless: Boxes, folder: Path) -> None:
    made = rootless("/bin/true")
    made.linux["namespaces"] = [entry for entry in made.linux["namespaces"] if entry["type"] != "user"]
    del made.linux["uidMappings"], made.linux["gidMappings"]
    nest(made, folder)
    run(made, folder)


def test_a_limit_that_cannot_be_set_is_refused_by_both(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.linux["cgroupsPath"] = "/pyoci-not-mine"
    made.save()
    planned = made.runtime.call("plan", "--id", made.id, str(made.directory))
    found = made.run(check=False)
    if found.rc == 0:
        pytest.skip("this user may make cgroups at the root")
    assert planned.rc == found.rc == 1
    planned.failed("cannot make cgroup", "permission denied")
    found.failed("cannot make cgroup", "permission denied")


def test_setgroups_is_denied_for_one_id(rootless: Boxes) -> None:
    made = rootless("/bin/true")
    made.save()
    call = made.runtime.call("plan", "--steps", "--format", "json", "--id", made.id, str(made.directory))
    (user,) = [step for step in call.ok().json()["steps"] if step["op"] == "user"]
    assert user["fields"]["keep_groups"] is True
    assert ("finish", "user", "/process/user") in shown(made)
