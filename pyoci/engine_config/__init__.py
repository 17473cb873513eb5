"""`pyoci engine-config`: what an engine has to be told to use pyoci, put in place, and checked by asking the engine."""

import os
import shutil
import sys
from pathlib import Path

from pyoci.base import boot, files
from pyoci.base.errors import OciError
from pyoci.engine_config import merge
from pyoci.engine_config.engines import ENGINES, NAME, Engine, is_ours


def main(name: str, *, write: bool, check: bool) -> int:
    """Print the configuration of an engine, or write it, then check it; returns 1 when a check finds another runtime, else 0.

    Raises OciError `usage` for an unknown engine and `engine-config` when the file can't be changed.
    """
    engine = ENGINES.get(name)
    if engine is None:
        hint = "engines: " + ", ".join(ENGINES)
        raise OciError("usage", f'no engine "{name}" is known', obj=name, hint=hint)
    path = own_path()
    if write:
        _write(engine, path)
    if check:
        return _check(engine, path)
    if not write:
        files.out(shown(engine, path))
    return 0


def own_path() -> str:
    """The absolute path of the launcher: in bin of the prefix that has the package in lib/pyoci, else beside the environment's
    interpreter, else on PATH. Links are kept, as an upgrade may exchange what one points to. Raises OciError `engine-config` when
    there is none.
    """
    package = Path(boot.package_directory())
    places = [Path(sys.executable).parent / NAME]
    if package.parts[-3:] == ("lib", NAME, NAME):
        places.insert(0, package.parents[2] / "bin" / NAME)
    found = next((str(place) for place in places if os.access(place, os.X_OK)), None) or shutil.which(NAME)
    if not found:
        hint = "install the package: a source tree alone has no launcher"
        raise OciError("engine-config", f"{NAME} is neither beside {sys.executable} nor on PATH", hint=hint)
    return os.path.abspath(found)


def shown(engine: Engine, path: str) -> str:
    """The configuration with a comment that says where it belongs; JSON has no comments, so nothing is said there."""
    file = engine.target()
    if engine.form == "json" or not file:
        return engine.text(path)
    return f"# {file}\n{engine.text(path)}"


def _write(engine: Engine, path: str) -> None:
    file = engine.target()
    if not file:
        raise OciError(
            "engine-config", f"{engine.title} has no file to write", obj=engine.title, hint=engine.after
        )
    target = Path(file)
    try:
        there = target.read_text(encoding="utf-8") if target.exists() else ""
    except UnicodeDecodeError:
        raise merge.refused(file, "it is not UTF-8") from None
    except OSError as error:
        raise OciError("engine-config", f"{file} can't be read", obj=file, errno=error.errno or 0) from None
    text = merge.merged(engine.form, there, engine.text(path), file)
    if text == there:
        files.out(f"{file} has it already\n")
        return
    backup = merge.write(file, text)
    files.out(f"{file} written" + (f"; what it was: {backup}" if backup else "") + f"\n{engine.after}\n")


def _check(engine: Engine, path: str) -> int:
    answer = engine.answer()
    if answer is None:
        files.out(f"{engine.title}: no answer; it is not installed, does not run, or can't be asked\n")
        return 1
    ours = is_ours(answer, path)
    files.out(f"{engine.title}: {answer}" + ("" if ours else f", not {path}") + "\n")
    return 0 if ours else 1
