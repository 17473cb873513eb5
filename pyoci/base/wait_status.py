"""How a process ended, from the status that wait(2) returns."""

import posix


def in_words(status: int) -> str:
    """Such as "exit status 3", "killed by signal 9"."""
    if posix.WIFSIGNALED(status):
        return f"killed by signal {posix.WTERMSIG(status)}"
    return f"exit status {posix.WEXITSTATUS(status)}"


def for_exit(status: int) -> int:
    """The exit status with which a shell, and we, pass it on: 128 + n after signal n."""
    return 128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)
