"""A container's terminal in the foreground: connected with our own, which is in raw mode meanwhile."""

import posix
import select
import stat

from pyoci._shim import lib
from pyoci.base import files
from pyoci.host.signals import poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci.host.signals import Signals
else:
    import _signal

_BUFFER = 1 << 16  # bytes that wait for a slow reader; then the writer has to wait
_CHUNK = 4096
_LAST_WORDS = 1 << 18  # bytes of output read after the end of the process
_ENOUGH = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


class Proxy:
    """Copies between our standard input and output and the master of a container's terminal.

    Nothing here waits: a reader that stalls, on either side, delays neither signals nor the other direction.
    The master belongs to the caller; only after a hangup of our terminal it is replaced by /dev/null.
    """

    def __init__(self, master: int) -> None:
        self._master = master
        self._input = 0
        self._output = _unblocked(1)
        self._to_master = bytearray()
        self._to_output = bytearray()
        # With an end of our own open, programs may close all of theirs and open the terminal again later.
        self._peer = lib.pyoci_terminal_peer(master)
        self._opened = [fd for fd in (self._output, self._peer) if fd > 2]
        self._terminal = own_terminal()
        if self._terminal > 2:
            self._opened.append(self._terminal)
        posix.set_blocking(self._master, False)
        self._input_is_terminal = posix.isatty(0)
        self._raw = self._input_is_terminal and lib.pyoci_terminal_raw(0) == 0
        self.resize()

    def resize(self) -> None:
        """The container's terminal gets the size of ours."""
        if self._terminal >= 0:
            lib.pyoci_terminal_copy_size(self._terminal, self._master)

    def resume(self) -> None:
        """After a stop, during which a shell had our terminal."""
        if self._raw:
            lib.pyoci_terminal_raw_again()
        self.resize()

    def interests(self) -> dict[int, int]:
        """The descriptors to wait for, and their poll(2) events."""
        found: dict[int, int] = {}
        if self._input >= 0 and len(self._to_master) < _BUFFER:
            found[self._input] = select.POLLIN
        if self._master >= 0:
            wanted = select.POLLIN if len(self._to_output) < _BUFFER else 0
            wanted |= select.POLLOUT if self._to_master else 0
            if wanted:
                found[self._master] = wanted
        if self._output >= 0 and self._to_output:
            found[self._output] = select.POLLOUT
        return found

    def serve(self, ready: dict[int, int]) -> None:
        """Copy what the descriptors are ready for."""
        if self._input in ready:
            self._read_input()
        if self._master in ready:
            self._read_master()
        self._write_master()
        self._write_output()

    def _read_input(self) -> None:
        try:
            data = posix.read(self._input, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and self._master >= 0:
            self._to_master += data
        else:
            self._input = -1
            if not data and self._input_is_terminal:
                self._hang_up()

    def _hang_up(self) -> None:
        """Our terminal is gone, and so shall the container's be: its master is closed."""
        self._close_peer()
        if self._master < 0:
            return
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        posix.dup2(null, self._master, False)
        files.close(null)
        self._master = -1

    def _close_peer(self) -> None:
        if self._peer >= 0:
            self._opened.remove(self._peer)
            files.close(self._peer)
            self._peer = -1

    def _read_master(self) -> int:
        """Read once; returns the count of bytes, 0 when there are none for now."""
        if len(self._to_output) >= _BUFFER:
            return 0
        try:
            data = posix.read(self._master, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: no process has it open any more
            data = b""
        if not data:
            self._master = -1
        elif self._output >= 0:
            self._to_output += data
        return len(data)

    def _write_master(self) -> None:
        if self._master < 0:
            self._to_master.clear()
        if not self._to_master:
            return
        try:
            del self._to_master[: posix.write(self._master, self._to_master)]
        except BlockingIOError:
            pass
        except OSError:
            self._to_master.clear()

    def _write_output(self) -> None:
        """Without a reader the output is thrown away: the container's processes shall not wait for ever."""
        if not self._to_output or self._output < 0:
            return
        if self._output == 1 and not poll({1: select.POLLOUT}, 0):
            return
        try:
            # Where our output can't be kept from blocking, a pipe that is ready takes this much.
            data = self._to_output if self._output != 1 else self._to_output[:_CHUNK]
            del self._to_output[: posix.write(self._output, data)]
        except BlockingIOError:
            pass
        except OSError:
            self._output = -1
            self._to_output.clear()

    def finish(self, signals: "Signals") -> None:
        """After the end of the process: pass on what it has written, unless a signal ends our patience."""
        self._input = -1
        self._to_master.clear()
        self._close_peer()
        left = _LAST_WORDS
        while True:
            self._write_output()
            got = self._read_master() if self._master >= 0 and left > 0 else 0
            left -= got
            if got:
                continue
            if not self._to_output:
                return
            poll({signals.fd: select.POLLIN, self._output: select.POLLOUT})
            if any(number in _ENOUGH for number in signals.pending()):
                return

    def close(self) -> None:
        """Our terminal as it was, all descriptors of this object closed."""
        lib.pyoci_terminal_restore()
        for fd in self._opened:
            files.close(fd)


def own_terminal() -> int:
    """A descriptor of our own terminal, opened anew if it is above 2; -1 when there is none."""
    for fd in (0, 1, 2):
        if posix.isatty(fd):
            return fd
    try:
        return posix.open("/dev/tty", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    except OSError:
        return -1


def _unblocked(fd: int) -> int:
    """A descriptor of the same file that does not block, opened anew: others share the flags of ours.

    Gives `fd` itself where that is impossible or needless.
    """
    flags = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
    try:
        mode = posix.fstat(fd).st_mode
        if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            return fd
        return posix.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return fd
