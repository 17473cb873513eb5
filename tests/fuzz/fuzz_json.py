"""Coverage-guided fuzzing of csrc/json/json.c, with libFuzzer: fuzz_json.py DIRECTORY [LIBFUZZER-OPTION...]; see README.md."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(TOP), str(TOP / "tests")]

from fuzz import init_build  # noqa: E402

HERE = TOP / "tests/fuzz/json"


def missing() -> str:
    """What the build lacks here, or ""."""
    if init_build.clang() is None:
        return "no clang with libFuzzer (Debian: clang-14 libclang-rt-14-dev)"
    places = (sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL"))
    if not any(Path(place, sysconfig.get_config_var("LDLIBRARY")).exists() for place in places):
        return "no libpython (Debian: libpython3-dev)"
    return "" if Path(sysconfig.get_path("include"), "Python.h").exists() else "no Python.h"


def build(directory: Path) -> Path:
    """The fuzzer, as a program."""
    target = directory / "fuzz-json"
    compiler = init_build.clang()
    assert compiler, missing()
    variables = sysconfig.get_config_vars()
    subprocess.run(
        [
            *(compiler, "-std=gnu11", "-O1", "-g", "-fno-omit-frame-pointer"),
            *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-DPyInit__json=PyInit_fuzzed"),
            *(f"-I{sysconfig.get_path('include')}", str(TOP / "csrc/json/json.c"), str(HERE / "target.c")),
            *(f"-L{variables['LIBDIR']}", f"-L{variables['LIBPL']}", f"-Wl,-rpath,{variables['LIBDIR']}"),
            *(f"-lpython{variables['LDVERSION']}", "-o", str(target)),
        ],
        check=True,
    )  # fmt: skip
    return target


def command(directory: Path, *options: str) -> list[str]:
    """What starts the fuzzer, whose corpus is in the directory; its environment is that of `environment`."""
    (directory / "corpus").mkdir(exist_ok=True)
    seeds = [str(TOP / "tests/fuzz/corpus"), str(TOP / "tests/data/engine-configs")]
    own = [f"-dict={HERE / 'tokens'}", "-max_len=5000", "-timeout=20"]
    return [str(build(directory)), str(directory / "corpus"), *seeds, *own, *options]


def environment() -> dict[str, str]:
    """All memory comes from malloc, where the sanitizer sees the ends of each value and text."""
    path = os.pathsep.join([str(TOP), str(TOP / "tests")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"}


def main(arguments: list[str]) -> None:
    """Build the fuzzer into the directory, and become it."""
    if missing():
        raise SystemExit(missing())
    directory = Path(arguments[0]).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    words = command(directory, *arguments[1:])
    os.chdir(directory)
    os.execve(words[0], words, environment())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
