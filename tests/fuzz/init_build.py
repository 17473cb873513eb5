"""Builds the init as a program that can be fuzzed: its system calls end in init/kernel.c, which does nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent / "init"
CSRC = HERE.parents[2] / "csrc"
CALLS = HERE.joinpath("calls.txt").read_text().split()
SANITIZE = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-O1",
    "-g",
]
COMMON = [
    "-std=gnu11",
    "-D_GNU_SOURCE=",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-I",
    str(CSRC),
    "-I",
    str(CSRC / "init"),
]


def clang() -> str | None:
    """The clang that can fuzz, or None."""
    for name in ("clang-14", "clang"):
        path = shutil.which(name)
        if path and _has_runtime(path):
            return path
    return None


def _has_runtime(compiler: str) -> bool:
    """Whether libFuzzer is installed (Debian: libclang-rt-14-dev)."""
    empty = "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long s) { return d && s > 99999; }"
    command = [compiler, "-fsanitize=fuzzer,address", "-x", "c", "-", "-o", "/dev/null"]
    return subprocess.run(command, input=empty.encode(), capture_output=True, check=False).returncode == 0


def objects(directory: Path, compiler: str, *flags: str) -> list[Path]:
    """Compile the init with each of its system calls renamed to fake_*; gives the object files."""
    renamed = [
        "-Dmain=init_main",
        "-D__builtin_trap()=_exit(132)",
        *(f"-D{name}=fake_{name}" for name in CALLS),
    ]
    found = []
    for source in sorted((CSRC / "init").glob("*.c")):
        target = directory / f"init-{source.stem}.o"
        _run([compiler, *COMMON, *flags, *renamed, "-c", str(source), "-o", str(target)])
        found.append(target)
    return found


def replay(directory: Path) -> Path:
    """The program that runs inputs without libFuzzer, built with gcc."""
    return _link(directory, "gcc", "replay", [*SANITIZE], ["kernel.c", "target.c", "replay.c"])


def fuzzer(directory: Path, compiler: str) -> Path:
    """The libFuzzer program."""
    return _link(directory, compiler, "fuzzer", [*SANITIZE, "-fsanitize=fuzzer"], ["kernel.c", "target.c"])


def _link(directory: Path, compiler: str, name: str, flags: list[str], sources: list[str]) -> Path:
    folder = directory / name
    folder.mkdir()
    made = objects(
        folder, compiler, *[flag for flag in flags if flag != "-fsanitize=fuzzer"], *_coverage(flags)
    )
    ours = [str(HERE / source) for source in sources]
    target = folder / name
    _run([compiler, *COMMON, *flags, *ours, *map(str, made), "-o", str(target)])
    return target


def _coverage(flags: list[str]) -> list[str]:
    return ["-fsanitize=fuzzer-no-link"] if "-fsanitize=fuzzer" in flags else []


def _run(command: list[str]) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, f"{' '.join(command)}:\n{found.stderr}"


def foreign_symbols(made: list[Path]) -> set[str]:
    """What the objects take from elsewhere, without what they give each other."""
    defined: set[str] = set()
    wanted: set[str] = set()
    for path in made:
        listing = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            *_, kind, name = line.split()
            (wanted if kind == "U" else defined).add(name)
    return wanted - defined
