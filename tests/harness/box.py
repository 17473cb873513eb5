"""One container of a test: its bundle, its id, and the verbs of the runtime on it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from . import bundle, leaks
from .runtime import PATIENCE, Result, Runtime


class Stream:
    """A pipe that a container writes into; the test reads until something it waits for has come."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.data = b""

    def close_write(self) -> None:
        """Close our copy of the writing end, so that the end of file shows."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def more(self) -> bool:
        """Wait for more; False at the end of file."""
        ready, _, _ = select.select([self.read_end], [], [], PATIENCE)
        assert ready, f"nothing more came within {PATIENCE} s; so far: {self.data[-1000:]!r}"
        chunk = os.read(self.read_end, 1 << 16)
        self.data += chunk
        return bool(chunk)

    def until(self, text: str) -> str:
        """Everything up to now, once `text` has come."""
        while text.encode() not in self.data:
            assert self.more(), f"end of file before {text!r}; so far: {self.data[-1000:]!r}"
        return self.data.decode("utf-8", "replace")

    def rest(self) -> str:
        """Everything, at the end of file."""
        self.close_write()
        while self.more():
            pass
        return self.data.decode("utf-8", "replace")

    def close(self) -> None:
        """Close both ends."""
        self.close_write()
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1


class Container:
    """A bundle with an id; nothing runs until a verb is called.

    expected   True while the test knows that the runtime holds this container
    first      pid of the container's first process once created, 0 before
    detached   pids of the processes that a detached exec left to us
    """

    def __init__(self, runtime: Runtime, directory: Path, id: str, filesystem: bundle.RootFilesystem) -> None:
        self.runtime = runtime
        self.directory = directory
        self.id = id
        self.cgroup = f"/{id}"
        self.config = bundle.default_config(self.cgroup)
        self.expected = False
        self.first = 0
        self.detached: list[int] = []
        self.owner: int | None = None
        self._streams: list[Stream] = []
        filesystem.make(self.rootfs)

    @classmethod
    def like(cls, other: Container, id: str) -> Container:
        """A container with another's configuration and root filesystem, and an id, bundle and cgroup of its own."""
        made = cls.__new__(cls)
        made.__dict__.update(other.__dict__)
        made.id = id
        made.cgroup = f"/{id}"
        made.directory = other.directory.parent / id
        made.directory.mkdir()
        made.config = json.loads(json.dumps(other.config))
        made.config["root"]["path"] = str(other.rootfs)
        made.linux["cgroupsPath"] = made.cgroup
        made._streams, made.detached = [], []
        return made

    # -- the bundle

    @property
    def rootfs(self) -> Path:
        """The root filesystem on the host."""
        return self.directory / "rootfs"

    @property
    def process(self) -> dict[str, Any]:
        """config.json's process."""
        found: dict[str, Any] = self.config["process"]
        return found

    @property
    def linux(self) -> dict[str, Any]:
        """config.json's linux."""
        found: dict[str, Any] = self.config["linux"]
        return found

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """config.json's mounts."""
        found: list[dict[str, Any]] = self.config["mounts"]
        return found

    def args(self, *words: str) -> Container:
        """Set the command."""
        self.process["args"] = list(words)
        return self

    def sh(self, script: str) -> Container:
        """Set the command to a shell script."""
        return self.args("/bin/sh", "-c", script)

    def namespace(self, kind: str, path: str | None = None) -> None:
        """Ask for a namespace: new, or joined at `path`."""
        self.no_namespace(kind)
        entry = {"type": kind} if path is None else {"type": kind, "path": path}
        self.linux["namespaces"].append(entry)

    def no_namespace(self, kind: str) -> None:
        """Do without a namespace of its own."""
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]
        if kind == "uts":
            self.config.pop("hostname", None)

    def mount(self, destination: str, type: str, source: str, *options: str) -> dict[str, Any]:
        """Append a mount."""
        entry = {"destination": destination, "type": type, "source": source, "options": list(options)}
        self.mounts.append(entry)
        return entry

    def put(self, program: Path, name: str | None = None) -> str:
        """Copy an executable into /bin of the root filesystem; returns its path inside."""
        inside = f"bin/{name or program.name}"
        (self.rootfs / inside).unlink(
            missing_ok=True
        )  # a link would lead to the busybox that all tests share
        shutil.copyfile(program, self.rootfs / inside)
        (self.rootfs / inside).chmod(0o755)
        return "/" + inside

    def file(self, path: str, text: str = "", mode: int = 0o644) -> Path:
        """Make a file in the root filesystem."""
        target = self.rootfs / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def capabilities(self, *names: str) -> None:
        """Set bounding, effective and permitted to exactly these."""
        self.process["capabilities"] = {name: list(names) for name in ("bounding", "effective", "permitted")}

    def user_namespace(self, first: int = 100000, count: int = 65536) -> None:
        """Ask for a user namespace and give the root filesystem to its root."""
        self.namespace("user")
        for name in ("uidMappings", "gidMappings"):
            self.linux[name] = [{"containerID": 0, "hostID": first, "size": count}]
        self.user_namespace_root(first)

    def user_namespace_root(self, first: int) -> None:
        """Give the root filesystem to the host's `first` user, who is root in the container's user namespace."""
        bundle.chown_tree(self.rootfs, first, first)

    def save(self) -> None:
        """Write config.json as it stands."""
        bundle.write_config(self.directory, self.config)
        if self.owner is not None:
            bundle.chown_tree(self.directory, self.owner, self.owner)

    def stream(self) -> Stream:
        """A pipe to give as stdout or stderr of `create`; closed at the end of the test."""
        self._streams.append(Stream())
        return self._streams[-1]

    # -- the verbs

    def run(self, *options: str, check: bool = True, **call: Any) -> Result:
        """`run` with the bundle as it stands; in the foreground the container is gone afterwards."""
        self.save()
        stays = "--detach" in options or "-d" in options or "--keep" in options
        self.expected = stays
        found = self._call("run", "--bundle", str(self.directory), *options, self.id, **call)
        if found.rc != 0 and "--keep" not in options:
            self.expected = False
        return found.ok() if check else found

    def out(self, *options: str, **call: Any) -> str:
        """Standard output of a successful `run`."""
        return self.run(*options, **call).out

    def create(self, *options: str, check: bool = True, **call: Any) -> Result:
        """`create` with the bundle as it stands."""
        self.save()
        found = self._call("create", "--bundle", str(self.directory), *options, self.id, **call)
        self.expected = self.expected or found.rc == 0
        return found.ok() if check else found

    def start(self, check: bool = True) -> Result:
        """`start`."""
        found = self.runtime.call("start", self.id)
        return found.ok() if check else found

    def launch(self, *options: str, **call: Any) -> Container:
        """`create` and `start`."""
        self.create(*options, **call)
        self.start()
        return self

    def state(self) -> dict[str, Any]:
        """The state as the runtime prints it."""
        return self.runtime.state(self.id)

    @property
    def status(self) -> str:
        """The status in the state."""
        found: str = self.state()["status"]
        return found

    @property
    def pid(self) -> int:
        """The pid in the state."""
        found: int = self.state()["pid"]
        return found

    def kill(self, *arguments: str, check: bool = True) -> Result:
        """`kill`; options and the signal as arguments."""
        options = [word for word in arguments if word.startswith("-")]
        rest = [word for word in arguments if not word.startswith("-")]
        found = self.runtime.call("kill", *options, self.id, *rest)
        return found.ok() if check else found

    def delete(self, *options: str, check: bool = True) -> Result:
        """`delete`."""
        found = self.runtime.call("delete", *options, self.id)
        if found.rc == 0:
            self.expected = False
        return found.ok() if check else found

    def exec(self, *words: str, check: bool = True, options: tuple[str, ...] = (), **call: Any) -> Result:
        """`exec`: the command as words, the options of the verb apart."""
        found = self._call("exec", *options, self.id, *words, **call)
        return found.ok() if check else found

    def wait(self) -> int:
        """Wait for the container's first process, which came to us as subreaper: its status, 128+n for a signal."""
        return self.wait_for(self.first or self.pid)

    def wait_for(self, pid: int) -> int:
        """Wait for an orphan of the runtime: its status, 128+n for a signal."""
        descriptor = os.pidfd_open(pid)
        try:
            ready, _, _ = select.select([descriptor], [], [], PATIENCE)
        finally:
            os.close(descriptor)
        assert ready, f"process {pid} still runs after {PATIENCE} s"
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code if code >= 0 else 128 - code

    def stop(self) -> None:
        """Kill the first process, wait for it, delete."""
        self.kill("KILL")
        self.wait()
        self.delete()

    def finish(self) -> None:
        """At the end of a test: remove what the test knowingly left."""
        for stream in self._streams:
            stream.close()
        for pid in self.detached:
            # its pid namespace ends only after its parent, which we are, has waited for it
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        if self.expected:
            self.delete("--force")

    def _call(self, *arguments: str, **call: Any) -> Result:
        streams = []
        for name in ("stdin", "stdout", "stderr"):
            if isinstance(call.get(name), Stream):
                streams.append(call[name])
                call[name] = streams[-1].write_end
        before = set(leaks.children(os.getpid()))
        try:
            found = self.runtime.call(*arguments, **call)
            new = [pid for pid in leaks.children(os.getpid()) if pid not in before]
            if arguments[0] in ("create", "run"):
                self.first = new[0] if len(new) == 1 else 0
                if not self.first and found.rc == 0 and (self.expected or arguments[0] == "create"):
                    # crun's `run --detach`: a process of its own from before is our child, too
                    self.first = self.pid or max(new, default=0)
            else:
                self.detached += new
            return found
        finally:
            for stream in streams:
                stream.close_write()

    def spawn(self, verb: str, *options: str, **popen: Any) -> subprocess.Popen[Any]:
        """Start `run` or `create` without waiting for it."""
        self.save()
        return self.runtime.spawn(verb, "--bundle", str(self.directory), *options, self.id, **popen)
