"""Terminals that are handed over, and processes that the runtime stays with in the foreground."""

import posix
import select

from pyoci._shim import lib
from pyoci.base import files, wait_status
from pyoci.host.signals import Signals, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci.host.notify import NotifySocket
    from pyoci.terminal.proxy import Proxy
else:
    import _signal


def prepare(master: int) -> None:
    """Make a container's terminal fit for foreground(): to be called before its process runs.

    It has the size of ours, if we have one. Its lines end with a newline alone: where our output is a pipe, its reader sees
    lines as the program wrote them, and where it is a terminal, that one adds the carriage return.
    """
    lib.pyoci_terminal_plain_newlines(master)
    from pyoci.terminal.proxy import own_terminal

    terminal = own_terminal()
    if terminal >= 0:
        lib.pyoci_terminal_copy_size(terminal, master)
    if terminal > 2:
        files.close(terminal)


def foreground(
    pid: int,
    pidfd: int,
    master: int | None = None,
    *,
    signals: Signals | None = None,
    notify: "NotifySocket | None" = None,
) -> int:
    """Stay with the container's process until it ends; returns its exit status, 128 + n after signal n.

    pid, pidfd  the process: our child, not waited for by anybody else; other children are reaped meanwhile
    master      its terminal, which is connected with ours and stays open; None when it has our streams
    signals     made before the process was started, so that none is lost; else they are caught from now on
    notify      where it notifies its service manager, which is passed on meanwhile; it stays open

    Signals are passed on to the process. Raises OSError when it is no child of ours.
    """
    mine = Signals() if signals is None else None
    signals = signals or mine
    assert signals is not None
    proxy: Proxy | None = None
    try:
        if master is not None:
            from pyoci.terminal.proxy import Proxy as Connection

            proxy = Connection(master)
        status = _watch(pid, pidfd, signals, proxy, notify)
        if proxy:
            proxy.finish(signals)
    finally:
        if proxy:
            proxy.close()
        if mine:
            mine.restore()
    return wait_status.for_exit(status)


def _watch(
    pid: int, pidfd: int, signals: Signals, proxy: "Proxy | None", notify: "NotifySocket | None"
) -> int:
    """Serve signals, the terminal and notifications until the process ends; returns its wait status."""
    status = None
    while True:
        interests = {signals.fd: select.POLLIN, pidfd: select.POLLIN}
        if proxy:
            interests.update(proxy.interests())
        if notify:
            interests[notify.fd] = select.POLLIN
        ready = poll(interests)
        for number in signals.pending():
            if number == _signal.SIGCHLD:
                status = _reap(pid, status)
            elif number == _signal.SIGWINCH:
                # It is about our terminal. To a container that has none it would mean something else: httpd stops at it.
                if proxy:
                    proxy.resize()
            else:
                _forward(pidfd, number)
                if number == _signal.SIGCONT and proxy:
                    proxy.resume()
        if proxy:
            proxy.serve(ready)
        if notify and notify.fd in ready:
            notify.serve()
        if pidfd in ready:
            return posix.waitpid(pid, 0)[1] if status is None else status


def _reap(pid: int, status: int | None) -> int | None:
    """Wait for children that ended: as a subreaper we are given those whose parent is gone."""
    while True:
        try:
            ended, its_status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return status
        if ended == 0:
            return status
        if ended == pid:
            status = its_status


def _forward(pidfd: int, number: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except OSError:  # it ended, or has become another user's
        pass
