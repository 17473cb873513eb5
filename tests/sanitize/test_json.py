"""The tests of the JSON reader once more, with csrc/json/json.c under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from sanitize import build

SOURCE = build.TOP / "csrc/json/json.c"


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension module, built with the sanitizers."""
    headers = Path(sysconfig.get_path("include"))
    reason = build.missing() or (
        "" if (headers / "Python.h").exists() else "Python's headers are not installed"
    )
    if reason:
        pytest.skip(reason)
    target = tmp_path_factory.mktemp("json") / f"_json{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fPIC", "-shared", f"-I{headers}"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [str(shutil.which("gcc")), *flags, str(SOURCE), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


def test_the_tests_of_the_reader(module: Path) -> None:
    """All memory comes from malloc, where the sanitizer sees the ends of each value and text."""
    assert b"__asan_report_" in module.read_bytes()
    environment = {
        **os.environ,
        "LD_PRELOAD": ":".join(map(str, build.libraries())),
        "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:allocator_may_return_null=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(build.TOP / "tests"),
        "PYOCI_JSON_MODULE": str(module),
    }
    tests = build.TOP / "tests/unit/test_base_jsontext.py"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "sanitize.json_module",
        "-p",
        "no:cacheprovider",
        str(tests),
    ]
    found = subprocess.run(
        command, cwd=build.TOP, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-4000:]
