"""Coverage-guided fuzzing of load, check, compile and encode: python tests/fuzz/fuzz_load.py [CORPUS...] [-max_total_time=N]."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

with atheris.instrument_imports(include=["pyoci"]):
    from load_target import load_and_compile


def one_input(data: bytes) -> None:
    """One run; anything but a proper error crashes."""
    load_and_compile(data)


atheris.Setup(sys.argv, one_input)
atheris.Fuzz()
