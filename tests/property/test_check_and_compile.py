"""What the check accepts can be compiled; and what `validate` calls good, `create` takes.

The engines' configurations and changes to them; the host's facts are those of a machine that has all.
PYOCI_MUTATIONS sets how many documents are tried (default 10000), PYOCI_SEED where the random numbers start.
"""

from __future__ import annotations

import copy
import json
import os
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from property.mutations import DATA, WORDS, holders, mutate, shorten, vary
from unit import plans
from unit.check_cases import BASE

from pyoci.cgroups import devices, resources, unit
from pyoci.plan import compiler
from pyoci.spec import check, fast
from pyoci.validate import explain

if TYPE_CHECKING:
    from pyoci.spec.spec_types import Resources

COUNT = int(os.environ.get("PYOCI_MUTATIONS", "10000"))
SEED = int(os.environ.get("PYOCI_SEED", "1300"))
EVERYTHING = DATA.parent / "fuzz" / "corpus" / "everything.json"
V2 = {"version": 2, "path": "/sys/fs/cgroup/box", "controllers": [], "links": []}
ALL_NAMESPACES = 0x7E020080


def documents() -> list[Any]:
    """The configurations to start from: those of the engines, and one with every member that can be run."""
    engines = [json.loads(path.read_text()) for path in sorted((DATA / "engine-configs").glob("*.json"))]
    full = json.loads(EVERYTHING.read_text())
    found = [*engines, full]
    for value in found:
        assert check.problems(value, first=True) == []
    return [shorten(value) if value in engines else value for value in found]


def change(number: int, start: list[Any], random: Random) -> Any:
    """The documents themselves, then changed ones; one half of the changes keeps the types."""
    if number < len(start):
        return start[number]
    return (mutate, vary)[number % 2](random.choice(start), random)


def compiled(spec: Any) -> None:
    """Compile a configuration for a container's first process and for one that joins, as far as bytes. Raises OciError."""
    for nested in (False, True):
        facts = plans.facts(cgroup=V2, nested=nested, open_sources=nested, seccomp=(bytes(80), 0))
        plans.early(spec).encode()
        made = compiler.compile_container(spec, facts)
        made.prepare.encode()
        made.finish.encode()
        compiler.compile_exec(spec, spec["process"], facts, ALL_NAMESPACES).finish.encode()


def written(spec: Any) -> None:
    """The limits as files of the cgroup and the rules on devices, as far as no machine is asked. Raises OciError."""
    limits: Resources = spec["linux"].get("resources", {})
    resources.v2(limits)
    devices.program(devices.rules(limits))


def is_for_linux(value: object) -> bool:
    """Whether it is an object with a linux section and a process."""
    return isinstance(value, dict) and isinstance(value.get("linux"), dict) and "process" in value


def try_to_compile(spec: Any) -> bool:
    """Whether a configuration with a linux section and a process is accepted by the check; then it must compile."""
    if not is_for_linux(spec) or not fast.accepts(spec) or check.problems(spec, first=True):
        return False
    try:
        compiled(spec)
        written(spec)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}: {json.dumps(spec)}") from error
    return True


def is_good(spec: Any, *, systemd: bool = False) -> bool:
    """Whether `validate` finds no error."""
    report = explain.examine(json.dumps(spec).encode(), "config.json", systemd=systemd)
    return report.count("error") == 0


def is_taken(spec: Any) -> bool:
    """Whether the quick check, with which `create` begins, accepts a configuration."""
    loaded = fast.load(json.dumps(spec).encode())
    return loaded is not None and not check.problems(loaded, first=True)


@pytest.mark.parametrize("part", range(10))
def test_what_is_accepted_compiles(part: int) -> None:
    """Ten thousand changed configurations, in ten parts."""
    random = Random(SEED * 10 + part)
    start = documents()
    accepted = 0
    for number in range(COUNT // 10):
        spec = change(number, start, random)
        accepted += try_to_compile(spec)
    assert COUNT // 10 < 100 or accepted > COUNT // 100, (
        "hardly any document is accepted: the changes are too harsh"
    )


@pytest.mark.parametrize("word", WORDS)
def test_each_text_and_name_is_replaced_by_a_word(word: str) -> None:
    """One change at a time, at every place of the configuration with every member."""
    spec = documents()[-1]
    accepted = 0
    for holder in list(holders(spec)):
        for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(value, str):
                holder[key] = word
                accepted += try_to_compile(spec)
                holder[key] = value
            if isinstance(holder, dict) and word not in holder:
                holder[word] = holder.pop(key)
                accepted += try_to_compile(spec)
                holder[key] = holder.pop(word)
    assert accepted > 5


@pytest.mark.parametrize("part", range(5))
def test_validate_and_create_agree(part: int) -> None:
    """A tenth of the documents: the thorough side is slow."""
    random = Random(SEED * 10 + part)
    start = documents()
    for number in range(COUNT // 50):
        spec = change(number, start, random)
        if isinstance(spec, dict):
            assert is_good(copy.deepcopy(spec)) == is_taken(copy.deepcopy(spec)), json.dumps(spec)


def test_with_systemd_a_good_path_is_a_unit() -> None:
    random = Random(SEED)
    good = 0
    spec = copy.deepcopy(BASE)
    for _ in range(5000):
        path = "".join(
            random.choice(("a", "b", "-", ".slice", ".slice", ":", ":", "/", "")) for _ in range(6)
        )
        spec["linux"]["cgroupsPath"] = path
        if not check.problems(spec, first=True, systemd=True):
            good += 1
            unit.unit(path, "id", user=False)
    assert good > 20
