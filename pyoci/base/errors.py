"""The one error of pyoci: every failure that a person may see is an `OciError`."""

import posix


class OciError(Exception):
    """A failure with what a person needs to mend it and what a program needs to recognise it.

    code     stable kebab-case name of the kind of failure, listed in docs/errors.md
    message  one line: what failed, on what; without "pyoci:" and without the errno text
    pointer  JSON pointer into config.json of the property that asked for it, or ""
    errno    the kernel's error number, or 0
    obj      the path, option, cgroup file, signal ... the operation was about, or ""
    hint     what to do about it, one line, or ""
    op       name of the plan's op that failed, or ""
    status   the exit status the command ends with
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        pointer: str = "",
        errno: int = 0,
        obj: str = "",
        hint: str = "",
        op: str = "",
        status: int = 1,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.pointer = pointer
        self.errno = errno
        self.obj = obj
        self.hint = hint
        self.op = op
        self.status = status

    def text(self) -> str:
        """The one-line text: the message with the text of the errno after it."""
        if not self.errno:
            return self.message
        return f"{self.message}: {errno_text(self.errno)}"

    def fields(self) -> dict[str, str]:
        """The machine-readable fields, the empty ones left out."""
        found = {"code": self.code}
        if self.pointer:
            found["pointer"] = self.pointer
        if self.obj:
            found["object"] = self.obj
        if self.errno:
            found["errno"] = errno_name(self.errno)
        if self.op:
            found["op"] = self.op
        if self.hint:
            found["hint"] = self.hint
        return found


def errno_text(number: int) -> str:
    """The kernel's words for an errno in lower case, as the engines look for them."""
    text = posix.strerror(number)
    return text[:1].lower() + text[1:]


def errno_name(number: int) -> str:
    """The symbolic name of an errno, such as "ENOENT"."""
    import errno

    return errno.errorcode.get(number, str(number))


def from_os_error(
    code: str, message: str, error: OSError, *, pointer: str = "", obj: str = "", hint: str = ""
) -> OciError:
    """An `OciError` that carries the errno of an `OSError`."""
    return OciError(code, message, pointer=pointer, errno=error.errno or 0, obj=obj, hint=hint)


def unreadable_proc(path: str, error: OSError) -> OciError:
    """The error for a file of procfs that can't be read although its process is there."""
    hint = "the runtime asks procfs about processes: it must be mounted on /proc"
    return from_os_error("proc-read", f"cannot read {path}", error, obj=path, hint=hint)
