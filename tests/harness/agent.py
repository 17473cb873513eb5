"""A seccomp agent of a test, programs/agent.c, and what it was told."""

from __future__ import annotations

import json
import re
import select
import subprocess
from pathlib import Path
from typing import Any

from .box import Stream


class Agent:
    """Listens on a socket until it is closed.

    answers   "NUMBER:ANSWER" as the program takes them
    """

    def __init__(self, program: Path, socket: Path, *answers: str) -> None:
        self.socket = socket
        self.said = Stream()
        self.process = subprocess.Popen(
            [program, socket, *answers], stdin=subprocess.PIPE, stdout=self.said.write_end
        )
        self.said.close_write()
        self.said.until("ready\n")

    def profile(self, *names: str, default: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
        """A linux.seccomp that notifies this agent of some system calls."""
        rules = [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}]
        return {
            "defaultAction": default,
            "listenerPath": str(self.socket),
            "syscalls": rules,
            **{key: value for key, value in more.items() if value is not None},
        }

    def states(self, count: int) -> list[dict[str, Any]]:
        """The container process states that came, once they are so many."""
        while len(found := self._states()) < count:
            assert self.said.more(), f"the agent has ended: {self.said.data!r}"
        return found

    def _states(self) -> list[dict[str, Any]]:
        self._drain()
        text = self.said.data.decode()
        return [
            json.loads(text[found.end() : found.end() + int(found[1])])
            for found in re.finditer(r"^state (\d+)\n", text, re.MULTILINE)
            if len(text) >= found.end() + int(found[1])
        ]

    def calls(self) -> list[tuple[int, int]]:
        """Number and pid of the system calls that it has answered."""
        self._drain()
        found = re.findall(r"^call (\d+) (\d+)$", self.said.data.decode(), re.MULTILINE)
        return [(int(number), int(pid)) for number, pid in found]

    def _drain(self) -> None:
        while select.select([self.said.read_end], [], [], 0)[0] and self.said.more():
            pass

    def close(self) -> None:
        """End it; its listeners end with it."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        self.said.rest()
        self.said.close()
