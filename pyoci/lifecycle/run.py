"""run: create and start in one; in the foreground also wait and delete."""

from pyoci.base import signal_numbers, termination
from pyoci.base.errors import OciError
from pyoci.lifecycle.create import NewContainer
from pyoci.lifecycle.delete import delete
from pyoci.lifecycle.start import notify_socket, run_poststart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.lifecycle.requests import CreateRequest


def run(context: "Context", request: "CreateRequest") -> int:
    """`run`: returns the exit status of the program, 0 when detached. Raises OciError; then nothing is left.

    In the foreground the signals of our process are the container's, and stay so.
    """
    if not request.explain_seccomp:
        return run_container(context, request)
    from pyoci.seccomp.explain import Explanation

    if request.detach:
        hint = "run it in the foreground"
        raise OciError("usage", "--explain-seccomp cannot be used with --detach", hint=hint)
    request.supervisor = Explanation()
    try:
        return run_container(context, request)
    finally:
        request.supervisor.finish()
        request.supervisor.report(context.log)


def run_container(context: "Context", request: "CreateRequest") -> int:
    """As run(), with the request's supervisor, if any, which the caller finishes in case of an error."""
    with NewContainer(context, request, waits=False) as container:
        container.make()
        container.record("running")
        container.hand_over()
        signals = container.take_signals()
        notify = notify_socket(context, container.entry)
        container.run_program()
        run_poststart(context, container.entry, container.init.pid, container.bundle.directory)
        if notify and request.detach:
            termination.uncatch()  # the program may take its time to be ready
        elif request.detach:
            termination.ignore()
    if request.detach:
        container.entry.close()
        if notify:
            notify.wait(container.init.pid, container.init.pidfd)
        container.close()
        return 0
    container.entry.close()  # others may kill, pause, delete it meanwhile
    pid = container.init.pid
    try:
        status = container.wait(signals, notify)
        context.spans.lap("the program runs", kind="idle")
        if request.supervisor:
            status = 128 + signal_numbers.SYS if request.supervisor.has_killed() else status
        if not request.keep:
            delete(
                context, request.root, request.id, force=True, only=pid, directory=container.bundle.directory
            )
    finally:
        container.close()
        if request.trace:
            request.trace.save()
    return status
