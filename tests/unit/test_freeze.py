"""What the static launcher freezes: the modules it finds by their imports, and what it takes out of their code."""

import marshal
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "csrc" / "build"))

import build_shim  # noqa: E402
import freeze  # noqa: E402

TABLE = 'NAME = 0\nCORE = 1\nCOMMANDS = (("state", True), ("list", False))\n'


def write(directory: Path, files: dict[str, str]) -> Path:
    """A package like pyoci, with a table of one hot and one cold command."""
    package = directory / "pyoci"
    base = {
        "__init__.py": "",
        "cli/__init__.py": "",
        "cli/program.py": "",
        "cli/table.py": TABLE,
    }
    for name, text in {**base, "cli/state.py": "", "cli/list.py": "", **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def hot(directory: Path, files: dict[str, str]) -> set[str]:
    base = {"pyoci", "pyoci.cli", "pyoci.cli.program", "pyoci.cli.state"}
    found = set(freeze.hot_modules(write(directory, files)))
    assert base <= found
    return found - base


def test_imports_are_followed_into_functions(tmp_path: Path) -> None:
    files = {
        "cli/state.py": "def run():\n    from pyoci import a\n    import pyoci.b.c\n",
        "a.py": "import posix\n",
        "b/__init__.py": "",
        "b/c.py": "from pyoci.d import name\n",
        "d.py": "name = 1\n",
        "unused.py": "",
    }
    assert hot(tmp_path, files) == {"pyoci.a", "pyoci.b", "pyoci.b.c", "pyoci.d"}


def test_a_module_that_needs_more_is_cold_and_makes_its_importers_cold(tmp_path: Path) -> None:
    files = {
        "cli/state.py": "def run():\n    from pyoci import a, b, c\n",
        "a.py": "import json\n",
        "b.py": "from pyoci import a\n",
        "c.py": "def late():\n    from pyoci import a\n",
    }
    assert hot(tmp_path, files) == {"pyoci.c"}


def test_imports_for_typing_do_not_count(tmp_path: Path) -> None:
    text = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Any\nelse:\n    import posix\n"
    assert hot(tmp_path, {"cli/state.py": "from pyoci import a\n", "a.py": text}) == {"pyoci.a"}


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(build_shim.BuildError):
        hot(tmp_path, {"cli/state.py": "from . import a\n"})


def test_the_hot_commands_of_pyoci_are_hot() -> None:
    found = freeze.hot_modules()
    verbs = ("create", "start", "state", "kill", "delete", "run", "exec")
    assert {f"pyoci.cli.{verb}" for verb in verbs} <= set(found)
    assert {"pyoci.lifecycle.create", "pyoci.init.process", "pyoci.plan.compiler"} <= set(found)


def names(code: CodeType) -> set[str]:
    found = {*code.co_names}
    for constant in code.co_consts:
        found |= (
            names(constant)
            if isinstance(constant, CodeType)
            else {constant}
            if isinstance(constant, str)
            else set()
        )
    return found


def test_annotations_docstrings_and_typing_are_taken_out_and_lines_stay(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""Text one."""\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Any\n\n\n'
        'class Thing:\n    """Text two."""\n\n    size: int = 3\n    name: str\n\n'
        '    def act(self, what: list[str], *rest: bytes, **more: set) -> "Any":\n        """Text three."""\n'
        "        raise ValueError(what)\n"
    )
    code = freeze.code(source)
    code = marshal.loads(code) if isinstance(code, bytes) else code
    found = names(code)
    assert not {"Text one.", "Text two.", "Text three.", "Any", "int", "str", "list", "bytes", "set"} & found
    module: dict[str, Any] = {"__name__": "module"}
    exec(code, module)
    thing = module["Thing"]()
    assert thing.size == 3
    with pytest.raises(ValueError) as caught:
        thing.act([], 1, x=2)
    assert caught.traceback[-1].lineno + 1 == 15


def test_the_list_says_why_a_module_is_cold() -> None:
    found = subprocess.run(
        [sys.executable, str(TREE / "csrc/build/freeze.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "pyoci.cli.entry hot\n" in found.stdout
    assert " cold: " in found.stdout
