"""What `pyoci validate` does."""

import errno
import os
import sys

from pyoci.base import files
from pyoci.base.errors import OciError, from_os_error
from pyoci.spec import LARGEST
from pyoci.validate.explain import examine
from pyoci.validate.report_formats import FORMATS


def validate(target: str, *, kind: str, fmt: str, strict: bool, systemd: bool = False) -> int:
    """Print every problem of a document; 1 when one of them is an error, else 0.

    target   a bundle's directory, a file, or "-" for standard input
    kind     "config", "state" or "features"
    fmt      "text", "json", "github" or "sarif"
    strict   add the advice of the security review
    systemd  the cgroups are to be made by systemd
    Raises OciError when the document cannot be read.
    """
    data, name, bundle = read(target, kind)
    report = examine(data, name, kind=kind, systemd=systemd, strict=strict, bundle=bundle)
    files.out(FORMATS[fmt](report))
    return 1 if report.count("error") else 0


def read(target: str, kind: str) -> tuple[bytes, str, str | None]:
    """The bytes, the name to show and, for a config.json in its bundle, the bundle's directory."""
    try:
        if target == "-":
            if sys.stdin is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return sys.stdin.buffer.read(LARGEST + 1), "standard input", None
        if os.path.isdir(target):
            if kind != "config":
                raise OciError(
                    "config-file", f"{target} is a directory", hint=f"name the file with the {kind}"
                )
            target = os.path.join(target, "config.json")
        with open(target, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        hint = "name a bundle's directory, a file, or - for standard input"
        what = "standard input" if target == "-" else target
        raise from_os_error("config-file", f"cannot read {what}", error, obj=target, hint=hint) from None
    in_bundle = kind == "config" and os.path.basename(target) == "config.json"
    return data, os.path.normpath(target), os.path.dirname(os.path.abspath(target)) if in_bundle else None
