"""/proc/PID/stat (proc_pid_stat(5))."""

from pyoci.base import files

STATE, PARENT, FLAGS, START_TIME, EXIT_CODE = 0, 1, 6, 19, 49  # places in what fields() returns
EXITING = 0x4  # of FLAGS (PF_EXITING): on the way to its end, before it closes its files
DEAD = (b"Z", b"X")  # the states of a process that has ended


def fields(pid: int) -> list[bytes]:
    """The fields of a process from the third on: the second, its name, may hold blanks and parentheses. Raises OSError."""
    text = files.read(f"/proc/{pid}/stat")
    return text[text.rindex(b")") + 2 :].split()
