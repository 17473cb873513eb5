"""Coverage-guided fuzzing of load, check, compile and encode, with atheris; see README.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

with atheris.instrument_imports(include=["pyoci"]):
    from fuzz.load_target import load_and_compile
from property.mutations import mutate  # noqa: E402


def one_input(data: bytes) -> None:
    """One run; anything but a proper error crashes."""
    load_and_compile(data)


def change(data: bytes, max_size: int, seed: int) -> bytes:
    """Two times of three change the document, else its bytes."""
    random = Random(seed)
    if random.random() < 0.67:
        try:
            changed = json.dumps(mutate(json.loads(data), random), separators=(",", ":")).encode()
        except (ValueError, RecursionError, IndexError, ArithmeticError):
            changed = b""
        if 0 < len(changed) <= max_size:
            return changed
    return bytes(atheris.Mutate(data, max_size))


atheris.Setup(sys.argv, one_input, custom_mutator=change)
atheris.Fuzz()
