"""Hooks in the runtime's own namespaces: programs that config.json wants run at points of the lifecycle."""

import errno
import posix

from pyoci.base import files, wait_status
from pyoci.base.errors import OciError, from_os_error
from pyoci.base.spans import Spans
from pyoci.host import programs
from pyoci.spec.annotations import HOOK_OUTPUTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Hook, HookName, Spec

    Outputs = tuple[int, int]


def run(spec: "Spec", name: "HookName", state: bytes, *, spans: Spans, directory: int = -1) -> None:
    """Run the hooks of one kind in the listed order, stopping at the first that fails.

    spec       the configuration that has them
    state      the container's state as JSON, which each hook gets on standard input
    spans      where their times go
    directory  a descriptor of the working directory they start in, or -1 for ours

    Raises OciError "hook" with the hook's exit status and the end of its output.
    Specification: config.md, POSIX-platform Hooks.
    """
    opened = _open_outputs(spec, directory)
    try:
        for index, hook in enumerate(_listed(spec, name)):
            _run_timed(hook, state, name, index, spans, directory, opened)
    finally:
        files.close_all([*opened])


def run_all(
    spec: "Spec", name: "HookName", state: bytes, *, spans: Spans, directory: int = -1
) -> list[OciError]:
    """Run all hooks, as run() does but whatever happens to each, and return their failures: the rule for poststop."""
    failures: list[OciError] = []
    opened: Outputs = (-1, -1)
    try:
        opened = _open_outputs(spec, directory)
    except OciError as failure:
        failures.append(failure)
    for index, hook in enumerate(_listed(spec, name)):
        try:
            _run_timed(hook, state, name, index, spans, directory, opened)
        except OciError as failure:
            failures.append(failure)
    files.close_all([*opened])
    return failures


def _listed(spec: "Spec", name: "HookName") -> "list[Hook]":
    return (spec.get("hooks") or {}).get(name) or []


def _open_outputs(spec: "Spec", directory: int) -> "Outputs":
    """What the annotations name for the output and the error of hooks, -1 where they name nothing. Raises OciError."""
    found = [-1, -1]
    annotations = spec.get("annotations") or {}
    try:
        for at, key in enumerate(HOOK_OUTPUTS):
            if key in annotations:
                found[at] = open_output(key, annotations[key], directory)
    except OciError:
        files.close_all(found)
        raise
    return found[0], found[1]


def open_output(annotation: str, path: str, directory: int) -> int:
    """A file that gets the output of hooks; made when it is missing, and written to at its end. Raises OciError."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_NOCTTY | posix.O_CLOEXEC
    try:
        # a fifo that nobody reads must not hold us up
        fd = posix.open(path, flags | posix.O_NONBLOCK, 0o600, dir_fd=None if directory < 0 else directory)
        posix.set_blocking(fd, True)
        return fd
    except (OSError, ValueError) as error:
        pointer = f"/annotations/{annotation}"
        number = error.errno or 0 if isinstance(error, OSError) else errno.EINVAL
        message = f"cannot open {path} for the output of hooks"
        raise OciError("hook", message, errno=number, pointer=pointer, obj=path) from None


def _run_timed(
    hook: "Hook", state: bytes, name: str, index: int, spans: Spans, directory: int, outputs: "Outputs"
) -> None:
    began = spans.now()
    try:
        _run_one(hook, state, name, index, directory, outputs)
    finally:
        spans.within(began, f"{name} hook {hook['path']}", f"/hooks/{name}/{index}", "hook")


def _run_one(hook: "Hook", state: bytes, name: str, index: int, directory: int, outputs: "Outputs") -> None:
    """Run a hook; what is wrong with it is said in the words of runc, after which engines and its tests look."""
    path, pointer, message = hook["path"], f"/hooks/{name}/{index}", f"error running {name} hook #{index}"
    if path[:1] != "/":
        raise OciError("hook", f"{message}: the path is not absolute", pointer=f"{pointer}/path", obj=path)
    timeout, env = hook.get("timeout"), hook.get("env")
    try:
        status, *printed = programs.run(
            path,
            hook.get("args") or [path],
            _own_environment() if env is None else env,
            stdin=state,
            timeout=timeout,
            directory=directory,
            outputs=outputs,
        )
    except OSError as error:
        message = f"{message}: exec {path}"
        hint = _missing_hint(path) if error.errno == errno.ENOENT else ""
        raise from_os_error("hook", message, error, pointer=f"{pointer}/path", obj=path, hint=hint) from None
    except ValueError as error:  # a NUL in a string
        raise OciError("hook", f"{message}: {path}: {error}", pointer=pointer, obj=path) from None
    if status == 0:
        return
    if status == programs.TIMED_OUT:
        how = f"hook ran past specified timeout of {timeout}.0s"
        pointer += "/timeout"
    else:
        how = wait_status.in_words(status)
    output, error_output = map(programs.one_line, printed)
    text = f"{message}: {how}, stdout: {output}, stderr: {error_output}"
    raise OciError("hook", text, pointer=pointer, obj=path, hint=f"the hook is {path}")


def _own_environment() -> list[str]:
    """What a hook without `env` gets on the host, as with other runtimes: it may look programs up by PATH."""
    return [b"=".join(item).decode("utf-8", "surrogateescape") for item in posix.environ.items()]


def _missing_hint(path: str) -> str:
    try:
        posix.stat(path)
    except OSError:
        return "this hook runs on the host: its path is looked up there, not in the container"
    return "the file exists, but the interpreter in its first line, or its dynamic loader, is missing"
