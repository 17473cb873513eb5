"""Whether the program of a container can be executed, as far as its root filesystem tells before anything runs."""

import errno
import os
import platform
import stat

from pyoci.plan.failure import CARRIAGE_RETURN, ELF_MACHINES
from pyoci.spec import defaults, paths
from pyoci.spec.problem import Report
from pyoci.validate import landlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec

_MOST_LINKS = 40  # as the kernel
_MOST_INTERPRETERS = 5  # the same: that of a script may be a script
_AT = "/process/args/0"
# which run each other's programs, too
_SISTERS = {"x86_64": {"x86_64", "i386"}, "aarch64": {"aarch64", "arm"}}


class _Hidden(Exception):
    """A mount covers the path: what is there is not known."""


def find_problems(spec: "Spec", rootfs: str, warnings: Report) -> None:
    """Warn of a program that is not there, or whose interpreter is not. What a mount may bring is not looked for."""
    process = defaults.process(spec)
    program = (process.get("args") or [""])[0]
    if not program or "\0" in program:
        return
    _check_mount(spec, program, process["cwd"], warnings)
    tree = _Tree(rootfs, [paths.clean(mount["destination"]) for mount in spec.get("mounts", [])])
    path = defaults.PATH
    for item in process.get("env") or ():
        path = item[5:] if item.startswith("PATH=") else path
    try:
        found = _look_up(tree, program, path, process["cwd"])
        if found:
            executed = _check_file(tree, found, program, warnings)
            landlock.file_problems(spec, executed, tree.seen, warnings)
        elif "/" in program:
            warnings("program-missing", _AT, f"{program} is not in the root filesystem")
        else:
            text = f'"{program}" is in no directory of PATH in the root filesystem: {path}'
            warnings("program-missing", _AT, text)
    except (_Hidden, PermissionError, ValueError):  # the last for what no path can be: the rules say so
        pass


def _check_mount(spec: "Spec", program: str, cwd: str, warnings: Report) -> None:
    """Warn of a program on a mount with noexec, as far as its path tells."""
    if "/" not in program:
        return
    path = paths.clean(os.path.join(cwd, program))
    above = [
        mount for mount in spec.get("mounts", []) if paths.is_within(path, paths.clean(mount["destination"]))
    ]
    options = [
        option for option in (above[-1].get("options") or [] if above else []) if option.endswith("exec")
    ]
    if options and options[-1] in ("noexec", "rnoexec"):
        place = above[-1]["destination"]
        text = f"{program} is on the mount on {place}, from which nothing can be executed"
        warnings("program-noexec", _AT, text, hint=f"omit its option {options[-1]}")


def _look_up(tree: "_Tree", program: str, path: str, cwd: str) -> str:
    """The file on the host, "" when there is none."""
    if "/" in program:
        return tree.resolve(os.path.join(cwd, program))
    for directory in path.split(":"):
        found = tree.resolve(f"{directory}/{program}") if directory.startswith("/") else ""
        if found and os.path.isfile(found):
            return found
    return ""


def _check_file(tree: "_Tree", file: str, program: str, warnings: Report) -> list[str]:
    """Warn of a program that the kernel would refuse, or whose interpreter it would; returns it and its interpreters."""
    said, found = program, [file]
    for _ in range(_MOST_INTERPRETERS):
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            warnings("program-mode", _AT, f"{said} is not a file that can be executed")
            return found
        if not status.st_mode & 0o111:
            text = f"{said} can't be executed: its mode is {stat.S_IMODE(status.st_mode):03o}"
            warnings("program-mode", _AT, text, hint=f"chmod a+x {file}")
            return found
        with open(file, "rb") as opened:
            head = opened.read(4096)
        if not _check_format(head, said, warnings):
            return found
        interpreter = _interpreter(head)
        if not interpreter.startswith("/"):
            return found
        file = tree.resolve(interpreter)
        if not file:
            text = f"{program} needs the interpreter {interpreter}, which is not in the root filesystem"
            hint = CARRIAGE_RETURN if interpreter.endswith("\r") else ""
            warnings("program-interpreter", _AT, text, hint=hint)
            return found
        found.append(file)
        said = f"the interpreter {interpreter} of {program}"
    return found


def _check_format(head: bytes, said: str, warnings: Report) -> bool:
    """Warn of what is no program for this machine; False then."""
    if head[:4] == b"\x7fELF":
        machine = ELF_MACHINES.get(int.from_bytes(head[18:20], "little" if head[5:6] == b"\1" else "big"), "")
        own = platform.machine()
        if machine and machine not in _SISTERS.get(own, {own}):
            text = f"{said} is for {machine}, and this machine is {own}"
            hint = "use an image for this machine, or register a program that runs it (binfmt_misc)"
            warnings("program-machine", _AT, text, hint=hint)
            return False
    elif head[:2] != b"#!" or not _interpreter(head):
        text = f"{said} is neither a program nor a script that starts with #! and the path of its interpreter"
        warnings("program-format", _AT, text, hint="the kernel runs it only with the help of binfmt_misc")
        return False
    return True


def _interpreter(head: bytes) -> str:
    """What the first line of a script, or a 64-bit ELF file of this byte order, names; "" for nothing."""
    if head[:2] == b"#!":
        line = head[2:].split(b"\n", 1)[0].split(b"\0", 1)[0].strip(b" \t")
        return os.fsdecode(line.replace(b"\t", b" ").partition(b" ")[0])
    if head[:6] != b"\x7fELF\2\1":
        return ""
    start, size, count = (
        int.from_bytes(head[at : at + length], "little") for at, length in ((32, 8), (54, 2), (56, 2))
    )
    for index in range(count):
        part = head[start + index * size :][:56]
        if len(part) == 56 and int.from_bytes(part[:4], "little") == 3:  # PT_INTERP
            offset = int.from_bytes(part[8:16], "little")
            return os.fsdecode(head[offset:].split(b"\0", 1)[0])
    return ""


class _Tree:
    """The root filesystem: links in it are followed as the container sees them, and lead to nothing outside."""

    def __init__(self, rootfs: str, mounts: list[str]) -> None:
        self._rootfs = rootfs
        self._mounts = mounts

    def resolve(self, path: str) -> str:
        """The path on the host, "" when there is nothing. Raises _Hidden where a mount covers it."""
        left = [name for name in path.split("/") if name and name != "."]
        here: list[str] = []
        links = 0
        while left:
            name = left.pop(0)
            if name == "..":
                del here[-1:]
                continue
            inside = "/" + "/".join([*here, name])
            if any(paths.is_within(inside, mount) for mount in self._mounts):
                raise _Hidden
            try:
                mode = os.lstat(self._rootfs + inside).st_mode
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    raise
                return ""
            if not stat.S_ISLNK(mode):
                here.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                return ""
            target = os.readlink(self._rootfs + inside)
            if target.startswith("/"):
                here = []
            left = [part for part in target.split("/") if part and part != "."] + left
        return self._rootfs + "/" + "/".join(here)

    def seen(self, path: str) -> str | None:
        """The same, None where it is not known."""
        try:
            return self.resolve(path)
        except (_Hidden, PermissionError):
            return None
