"""Builds the C side of pyoci: the container's init, and the generated sources of the extension `pyoci._shim`.

The C declarations that Python sees are not written here: they are the regions between the lines
`/* cffi:begin */` and `/* cffi:end */` of plan.h and shim/*.h, so that C and Python read the same text.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import cffi

CSRC = Path(__file__).resolve().parents[1]
MODULE = "pyoci._shim"
STRICT = ["-std=gnu11", "-D_GNU_SOURCE=", "-Wall", "-Wextra"]
PROTECTED = "-fstack-protector-strong"
# For the linker: the stack is not executable, and what is not to change after the start can be made read-only.
READ_ONLY = ["-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code"]
_REGION = re.compile(r"^/\* cffi:begin \*/$(.*?)^/\* cffi:end \*/$", re.DOTALL | re.MULTILINE)


class BuildError(SystemExit):
    """The build ends here; the text says why."""


def headers() -> list[Path]:
    """The headers with declarations for Python: plan.h, then those of the shim in alphabetical order."""
    return [CSRC / "plan.h", *sorted((CSRC / "shim").glob("*.h"))]


def all_headers() -> list[Path]:
    """What C files of more than one folder include, and the headers of the init."""
    return [*CSRC.glob("*.h"), *CSRC.glob("*.def"), *(CSRC / "init").glob("*.h")]


def shim_sources() -> list[Path]:
    """The C files of the parent half."""
    return sorted((CSRC / "shim").glob("*.c"))


def init_sources() -> list[Path]:
    """The C files of the container half."""
    return sorted((CSRC / "init").glob("*.c"))


def module_sources() -> list[Path]:
    """The C files of our extension modules that are written by hand, one each."""
    return [CSRC / "json" / "json.c", CSRC / "ops" / "ops.c"]


def declarations() -> str:
    """The C declarations for cffi, cut out of the headers. Raises BuildError where a region has no end."""
    parts = []
    for header in headers():
        text = header.read_text(encoding="utf-8")
        regions = _REGION.findall(text)
        if text.count("/* cffi:begin */") != len(regions):
            raise BuildError(f"{header}: every /* cffi:begin */ needs a /* cffi:end */, alone on a line")
        parts += regions
    return "\n".join(parts)


def write_if_changed(path: Path, text: str) -> None:
    """Write a generated file, and leave its time alone when nothing changed."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def newer(target: Path, inputs: Sequence[Path]) -> bool:
    """Whether `target` must be made again: it is missing or older than one of its inputs."""
    if not target.exists():
        return True
    time = target.stat().st_mtime_ns
    return any(path.stat().st_mtime_ns > time for path in inputs)


def init_compiler(sanitize: str) -> list[str]:
    """The compiler command for the static init. Raises BuildError where there is none."""
    chosen = os.environ.get("PYOCI_INIT_CC")
    if chosen:
        return chosen.split()
    if sanitize:
        return ["gcc"]
    if shutil.which("musl-gcc"):
        return ["musl-gcc"]
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return ["cc"]
    raise BuildError("musl-gcc is missing (Debian: musl-tools): the container's init is a static program")


def kernel_headers(directory: Path) -> list[str]:
    """Compiler options that let a musl compiler find the kernel's headers, but no others."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    asm = [Path("/usr/include", multiarch, "asm"), Path("/usr/include/asm")]
    include = Path("/usr/include")
    wanted = {"linux": [include / "linux"], "asm-generic": [include / "asm-generic"], "asm": asm}
    directory.mkdir(parents=True, exist_ok=True)
    for name, places in wanted.items():
        link = directory / name
        found = next((place for place in places if place.is_dir()), None)
        if found and not link.is_symlink():
            link.symlink_to(found)
    return ["-idirafter", str(directory)]


def build_init(build: Path, *, sanitize: str = "", werror: bool = False) -> Path:
    """Compile the container's init into `build`/init and return its path. Raises BuildError."""
    target = build / "init"
    inputs = [*init_sources(), *all_headers(), Path(__file__)]
    command = [*init_compiler(sanitize), *STRICT, "-g", "-I", str(CSRC), "-I", str(CSRC / "init")]
    if sanitize:
        # With AddressSanitizer there is no static form: the program finds its C library only on the host.
        command += ["-O1", f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"]
        command += ["-static-libasan"] if "address" in sanitize else ["-static"]
    else:
        # The image is copied into memory for each container, so pages count: 72 kB without the second row.
        command += ["-static", "-Os", PROTECTED, "-ffunction-sections", "-fdata-sections"]
        command += ["-fno-asynchronous-unwind-tables", "-Wl,-z,noseparate-code,--build-id=none"]
        command += ["-Wl,--gc-sections", "-Wl,-z,relro,-z,now,-z,noexecstack"]
    command += ["-Werror"] if werror else []
    command += kernel_headers(build / "kernel-headers")
    command += [str(path) for path in init_sources()]
    (make if sanitize else make_stripped)(target, command, inputs)
    return target


def defines(**values: str) -> list[str]:
    """Compiler definitions of string constants."""
    return [f"-D{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def make(target: Path, command: Sequence[str], inputs: Sequence[Path]) -> None:
    """Run a compiler command that writes `target`, unless it was the last one and no input changed since.

    Raises BuildError.
    """
    stamp = target.with_name(f"{target.name}.command")
    text = "\n".join(command)
    unchanged = stamp.exists() and stamp.read_text(encoding="utf-8") == text
    if unchanged and not newer(target, inputs):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    run([*command, "-o", f"{target}.new"])
    os.replace(f"{target}.new", target)
    stamp.write_text(text, encoding="utf-8")


def make_stripped(target: Path, command: Sequence[str], inputs: Sequence[Path]) -> None:
    """Make a program without its symbols, for which gdb and perf have NAME.debug beside it. Raises BuildError."""
    symbols = target.with_name(f"{target.name}.debug")
    make(symbols, command, inputs)
    make(target, ["strip", "--strip-all", str(symbols)], [symbols])


def run(command: Sequence[str]) -> None:
    """Run a compiler. Raises BuildError when it is missing or fails: with the first error that it printed, on one line."""
    try:
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise BuildError(f"{command[0]}: {error.strerror}") from error
    sys.stderr.write(done.stderr)
    if done.returncode:
        print(f"failed with status {done.returncode}: {' '.join(command)}", file=sys.stderr)
        lines = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
        first = lines[0].strip() if lines else f"status {done.returncode}"
        raise BuildError(f"{command[0]} fails: {first}")


def image_source(image: bytes) -> str:
    """C source that carries the init's bytes."""
    rows = [", ".join(map(str, image[at : at + 24])) for at in range(0, len(image), 24)]
    return (
        "/* Generated: the container's init, a static ELF program. */\n#include <stddef.h>\n\n"
        "extern const unsigned char pyoci_init_image[];\nextern const size_t pyoci_init_image_size;\n\n"
        "const unsigned char pyoci_init_image[] __attribute__((aligned(16))) = {\n    "
        + ",\n    ".join(rows)
        + f"\n}};\nconst size_t pyoci_init_image_size = {len(image)};\n"
    )


def generate(build: Path, *, sanitize: str = "", werror: bool = False) -> tuple[Path, Path]:
    """Make the generated C of the extension: the cffi module and the init's image. Raises BuildError."""
    image = build / "init_image.c"
    write_if_changed(image, image_source(build_init(build, sanitize=sanitize, werror=werror).read_bytes()))
    ffi = cffi.FFI()
    ffi.cdef(declarations())
    includes = "".join(f'#include "{path.relative_to(CSRC)}"\n' for path in headers())
    ffi.set_source(MODULE, includes)
    module = build / "_shim.c"
    with contextlib.redirect_stdout(io.StringIO()):
        ffi.emit_c_code(str(module))  # leaves an unchanged file alone
    return module, image
