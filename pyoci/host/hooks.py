"""Hooks in the runtime's own namespaces: programs that config.json wants run at points of the lifecycle."""

import errno
import posix

from pyoci.base import wait_status
from pyoci.base.errors import OciError, from_os_error
from pyoci.base.spans import Spans
from pyoci.host import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Hook


def run(hooks: "list[Hook]", state: bytes, *, name: str, spans: Spans, directory: int = -1) -> None:
    """Run the hooks in the listed order, stopping at the first that fails.

    state      the container's state as JSON, which each hook gets on standard input
    name       the kind of hook, such as "createRuntime"
    spans      where their times go
    directory  a descriptor of the working directory they start in, or -1 for ours

    Raises OciError "hook" with the hook's exit status and the end of its output.
    Specification: config.md, POSIX-platform Hooks.
    """
    for index, hook in enumerate(hooks):
        _run_timed(hook, state, name, f"/hooks/{name}/{index}", spans, directory)


def run_all(
    hooks: "list[Hook]", state: bytes, *, name: str, spans: Spans, directory: int = -1
) -> list[OciError]:
    """Run all hooks, as run() does but whatever happens to each, and return their failures: the rule for poststop."""
    failures: list[OciError] = []
    for index, hook in enumerate(hooks):
        try:
            _run_timed(hook, state, name, f"/hooks/{name}/{index}", spans, directory)
        except OciError as failure:
            failures.append(failure)
    return failures


def _run_timed(hook: "Hook", state: bytes, name: str, pointer: str, spans: Spans, directory: int) -> None:
    began = spans.now()
    try:
        _run_one(hook, state, name, pointer, directory)
    finally:
        spans.within(began, f"{name} hook {hook['path']}", pointer, "hook")


def _run_one(hook: "Hook", state: bytes, name: str, pointer: str, directory: int) -> None:
    path = hook["path"]
    if path[:1] != "/":
        message = f"{name} hook {path}: the path is not absolute"
        raise OciError("hook", message, pointer=f"{pointer}/path", obj=path)
    timeout, env = hook.get("timeout"), hook.get("env")
    try:
        status, output = programs.run(
            path,
            hook.get("args") or [path],
            _own_environment() if env is None else env,
            stdin=state,
            timeout=timeout,
            directory=directory,
        )
    except OSError as error:
        message = f"{name} hook {path} cannot be started"
        hint = _missing_hint(path) if error.errno == errno.ENOENT else ""
        raise from_os_error("hook", message, error, pointer=f"{pointer}/path", obj=path, hint=hint) from None
    except ValueError as error:  # a NUL in a string
        raise OciError("hook", f"{name} hook {path}: {error}", pointer=pointer, obj=path) from None
    if status == 0:
        return
    if status == programs.TIMED_OUT:
        text = f"{name} hook {path} did not end within its timeout of {timeout} s"
        pointer += "/timeout"
    else:
        text = f"{name} hook {path} failed: {wait_status.in_words(status)}"
    shown = programs.one_line(output)
    raise OciError("hook", f"{text}: {shown}" if shown else text, pointer=pointer, obj=path)


def _own_environment() -> list[str]:
    """What a hook without `env` gets on the host, as with other runtimes: it may look programs up by PATH."""
    return [b"=".join(item).decode("utf-8", "surrogateescape") for item in posix.environ.items()]


def _missing_hint(path: str) -> str:
    try:
        posix.stat(path)
    except OSError:
        return "this hook runs on the host: its path is looked up there, not in the container"
    return "the file exists, but the interpreter in its first line, or its dynamic loader, is missing"
