"""The tests of the extensions once more, with their C code under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from sanitize import build

# module: its source, and the tests that it has to pass
MODULES = {
    "_json": ("json/json.c", ["test_base_jsontext.py"]),
    "_ops": ("ops/ops.c", ["test_ops.py", "test_plan_encode.py"]),
}


def sanitized(name: str, directory: Path) -> Path:
    """The extension, built with the sanitizers; skips the test where that can't be done."""
    headers = Path(sysconfig.get_path("include"))
    reason = build.missing() or (
        "" if (headers / "Python.h").exists() else "Python's headers are not installed"
    )
    if reason:
        pytest.skip(reason)
    target = directory / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fPIC", "-shared", f"-I{headers}"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = build.TOP / "csrc" / MODULES[name][0]
    subprocess.run([str(shutil.which("gcc")), *flags, str(source), "-o", str(target)], check=True)
    return target


@pytest.mark.parametrize("name", MODULES)
def test_the_tests_of_a_module(name: str, tmp_path: Path) -> None:
    """All memory comes from malloc, where the sanitizer sees the ends of each value and text."""
    module = sanitized(name, tmp_path)
    assert b"__asan_report_" in module.read_bytes()
    environment = {
        **os.environ,
        "LD_PRELOAD": ":".join(map(str, build.libraries())),
        "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:allocator_may_return_null=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(build.TOP / "tests"),
        "PYOCI_SANITIZED_MODULE": str(module),
    }
    tests = [str(build.TOP / "tests/unit" / file) for file in MODULES[name][1]]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "sanitize.sanitized_module",
        "-p",
        "no:cacheprovider",
    ]
    found = subprocess.run(
        [*command, *tests],
        cwd=build.TOP,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-4000:]
