"""What very many names cost that collide in the tables of the interpreter, beside as many that do not.

The static launcher is an image with the hash seed of its build, which whoever has the package can read: it is read here, too.
"""

import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .bundles import compile_static, default_spec
from .cases import Bench
from .runtimes import Runtime
from .stage import Failed

NAMES = 200_000
BITS = 12  # that the hashes have in common, the lowest: the tables look at these first
SEEDS = "build/temp.*/launcher/static/pyoci.debug"  # the symbols of the image, below the top of the tree
TOP = Path(__file__).resolve().parents[2]
SYMBOL = "_Py_HashSecret"

# Names of 16 characters, each with the low bits of its hash 0 (SipHash-1-3, as Python has it for text).
PROGRAM = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND                                                                                             \
    a += b; b = ROTATE(b, 13); b ^= a; a = ROTATE(a, 32); c += d; d = ROTATE(d, 16); d ^= c;               \
    a += d; d = ROTATE(d, 21); d ^= a; c += b; b = ROTATE(b, 17); b ^= c; c = ROTATE(c, 32);
static uint64_t hash(uint64_t k0, uint64_t k1, const char *text) {
    uint64_t a = k0 ^ 0x736f6d6570736575, b = k1 ^ 0x646f72616e646f6d;
    uint64_t c = k0 ^ 0x6c7967656e657261, d = k1 ^ 0x7465646279746573, part;
    for (int at = 0; at < 16; at += 8) {
        memcpy(&part, text + at, 8);
        d ^= part; ROUND a ^= part;
    }
    part = (uint64_t)16 << 56;
    d ^= part; ROUND a ^= part;
    c ^= 0xff; ROUND ROUND ROUND
    return a ^ b ^ c ^ d;
}
int main(int argc, char **argv) {
    if (argc != 5) return 2;
    uint64_t k0 = strtoull(argv[1], NULL, 16), k1 = strtoull(argv[2], NULL, 16);
    uint64_t mask = (1ull << atoi(argv[3])) - 1, next = 0;
    char name[17] = "name000000000000";
    for (int left = atoi(argv[4]); left; next++) {
        uint64_t rest = next;
        for (int at = 15; at > 3; at--, rest >>= 5) name[at] = "abcdefghijklmnopqrstuvwxyz012345"[rest & 31];
        if ((hash(k0, k1, name) & mask) == 0) { puts(name); left--; }
    }
    return 0;
}
"""


def flood(bench: Bench, rounds: int) -> None:
    """The CPU time of a `create` that fails right after the check, with names that collide and with names that don't."""
    ours = [runtime for runtime in bench.runtimes if runtime.version().startswith("pyoci version ")]
    program = bench.work / "collide"
    compile_static(PROGRAM, program)
    for runtime in ours:
        key = seed(runtime.path.resolve())
        if key is None:
            bench.note(
                runtime, "flood: the seed of its hashes is not known: the names collide under another one"
            )
        bundles = {
            "flood-random": _bundle(bench, runtime, "random", _names(program, key or (0, 0), 0)),
            "flood-colliding": _bundle(bench, runtime, "colliding", _names(program, key or (0, 0), BITS)),
        }
        for _ in range(rounds):
            for row, bundle in bundles.items():
                bench.add(row, runtime, _cpu(bench, runtime, bundle))


def _names(program: Path, key: tuple[int, int], bits: int) -> list[str]:
    words = [str(program), *(f"{half:x}" for half in key), str(bits), str(NAMES)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    names = done.stdout.split()
    if done.returncode != 0 or len(set(names)) != NAMES:
        raise Failed(f"{' '.join(words)}: status {done.returncode}, {len(names)} names")
    return names


def _bundle(bench: Bench, runtime: Runtime, name: str, names: list[str]) -> Path:
    bundle = bench.work / f"flood-{runtime.name}-{name}"
    (bundle / "rootfs").mkdir(parents=True)
    spec = default_spec()
    spec["annotations"] = dict.fromkeys(names, "")
    (bundle / "config.json").write_text(json.dumps(spec))
    return bundle


def _cpu(bench: Bench, runtime: Runtime, bundle: Path) -> float:
    """CPU milliseconds; the id is taken, which is the one error that an accepted configuration gets."""
    root, name = bench.work / "taken" / runtime.name, "pyoci-bench-taken"
    (root / name).mkdir(parents=True, exist_ok=True)
    outcome = runtime.stage.go(runtime.argv("create", "--bundle", str(bundle), name, root=root))
    if outcome.code != 1 or f"container with given ID already exists: {name}" not in outcome.err:
        raise outcome.failed(f"{bundle.name} was not accepted: status {outcome.code}, {outcome.err[:300]!r}")
    return outcome.cpu / 1e6


def seed(image: Path) -> tuple[int, int] | None:
    """The two halves of the key of Python's text hashes in a static launcher, None for what has none that is known."""
    for symbols in TOP.glob(SEEDS):
        listed = subprocess.run(["nm", str(symbols)], capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            address, _, name = line.rpartition(" ")
            if name == SYMBOL:
                return _key_at(image.read_bytes(), int(address.split()[0], 16))
    return None


def _key_at(program: bytes, address: int) -> tuple[int, int] | None:
    for offset, start, size in _segments(program):
        if start <= address and address + 16 <= start + size:
            first, second = struct.unpack_from("<QQ", program, offset + address - start)
            return (first, second) if first or second else None
    return None


def _segments(program: bytes) -> Iterator[tuple[int, int, int]]:
    """Offset, address and size in the file of each loaded segment of an ELF program (elf(5))."""
    if program[:4] != b"\x7fELF":
        return
    headers, size, count = (
        struct.unpack_from("<Q", program, 32)[0],
        *struct.unpack_from("<HH", program, 54),
    )
    for number in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", program, headers + number * size)
        if kind == 1:  # PT_LOAD
            yield offset, address, length
