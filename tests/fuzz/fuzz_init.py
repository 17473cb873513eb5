"""Coverage-guided fuzzing of the init, with libFuzzer: fuzz_init.py DIRECTORY [LIBFUZZER-OPTION...]; see README.md."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]
from fuzz import init_build, init_plans  # noqa: E402


def main(arguments: list[str]) -> None:
    """Build the fuzzer into the directory, whose corpus is kept from run to run, and become it."""
    directory = Path(arguments[0]).resolve()
    compiler = init_build.clang()
    if compiler is None:
        raise SystemExit("clang with libFuzzer is missing (Debian: clang-14 libclang-rt-14-dev)")
    (directory / "corpus").mkdir(parents=True, exist_ok=True)
    init_plans.write_seeds(directory / "seeds")
    init_plans.unpack_corpus(directory / "kept")
    shutil.rmtree(directory / "fuzzer", ignore_errors=True)
    fuzzer = init_build.fuzzer(directory, compiler)
    os.chdir(directory)
    os.execv(
        fuzzer, [str(fuzzer), "corpus", "seeds", "kept", "-max_len=60000", "-timeout=20", *arguments[1:]]
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
