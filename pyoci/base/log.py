"""The log: one line for the failure, in the form and the place the caller asked for.

Engines read the file of `--log`: containerd takes the last line whose level is "error", podman reads the
whole file as one JSON object. So a failed command writes one line and nothing else: warnings wait, and go
into that line as `warnings`; when the command succeeds they become lines of their own. Without a log file
they go to standard error at once. The text of an error always goes to standard error too, where engines
look for words such as "does not exist".
"""

import posix

from pyoci.base import files, printable, timestamps
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Fields = dict[str, str | list[str]]

_APPEND = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOCTTY


class Log:
    """The log of one command: where its lines go, in which form, and the warnings that wait for its end.

    operation  the name of the command, for every later line
    """

    __slots__ = ("operation", "_path", "_json", "_debug", "_held")

    def __init__(self) -> None:
        self.operation = ""
        self._path = ""
        self._json = False
        self._debug = False
        self._held: list[tuple[str, Fields]] = []

    def configure(self, path: str, *, json: bool, debug: bool) -> None:
        """Set where and how to log; "" and "/dev/stderr" mean standard error.

        Raises OciError `log-file` when the file can't be written. It is not kept open: its descriptor could
        be one of those that --preserve-fds hands to the container.
        """
        self._path, self._json, self._debug = "", json, debug
        self._held.clear()
        if not path or path == "/dev/stderr":
            return
        try:
            if path[:1] != "/":
                path = f"{posix.getcwd()}/{path}"
            files.close(posix.open(path, _APPEND, 0o644))
        except OSError as error:
            hint = "use --log with a file that you may write, in a directory that exists"
            raise OciError(
                "log-file", f"log file {path}", errno=error.errno or 0, obj=path, hint=hint
            ) from None
        self._path = path

    def failure(self, error: OciError) -> None:
        """Log the error that ends the command."""
        fields: Fields = {**error.fields()}
        if self._held:
            fields["warnings"] = [message for message, _ in self._held]
            self._held.clear()
        self._write("error", error.text(), fields, also_stderr=True)

    def warning(self, message: str, *, code: str = "", pointer: str = "") -> None:
        """Log what a person should know although the command goes on."""
        fields: Fields = {}
        if code:
            fields["code"] = code
        if pointer:
            fields["pointer"] = pointer
        if self._path and not self._debug:
            self._held.append((message, fields))
        else:
            self._write("warning", message, fields, also_stderr=self._debug)

    @property
    def has_file(self) -> bool:
        """Whether the log is a file, and not standard error."""
        return bool(self._path)

    @property
    def is_debugging(self) -> bool:
        """Whether --debug asks for details."""
        return self._debug

    def debug(self, message: str, pointer: str = "") -> None:
        """Log a detail, if --debug asks for details; the pointer is that of its cause in config.json."""
        if self._debug:
            self._write("debug", message, {"pointer": pointer} if pointer else {}, also_stderr=False)

    def finish(self) -> None:
        """Write the warnings of a command that succeeded."""
        for message, fields in self._held:
            self._write("warning", message, fields, also_stderr=False)
        self._held.clear()

    def _write(self, level: str, message: str, fields: "Fields", *, also_stderr: bool) -> None:
        message = printable.line(message)
        if self._path or self._json or level == "debug":
            # Engines show their users nothing but the message; the words by which they know an error stay at its front
            told = f"{message}; hint: {fields['hint']}" if "hint" in fields else message
            line = (_json_line if self._json else _text_line)(self.operation, level, told, fields)
            if not self._path:
                files.err(line)
                return
            try:
                fd = posix.open(self._path, _APPEND, 0o644)
                try:
                    files.write_all(fd, line.encode())
                finally:
                    files.close(fd)
            except OSError:
                also_stderr = True
            if not also_stderr:
                return
        files.err(self._plain(level, message, fields))

    def _plain(self, level: str, message: str, fields: "Fields") -> str:
        """What a person reads on standard error."""
        prefix = f"pyoci: {self.operation}: " if self.operation else "pyoci: "
        kind = "" if level == "error" else f"{level}: "
        text = f"{prefix}{kind}{message}\n"
        if "hint" in fields:
            text += f"  hint: {printable.line(str(fields['hint']))}\n"
        if self._debug:
            details = [f"{key}={value}" for key, value in fields.items() if key not in ("hint", "warnings")]
            if details:
                text += f"  {printable.line(' '.join(details))}\n"
        return text


def _json_line(operation: str, level: str, message: str, fields: "Fields") -> str:
    from pyoci.base.jsontext import dumps

    record: Fields = {"level": level, "msg": message, "time": timestamps.now(6)}
    if operation:
        record["operation"] = operation
    record.update(fields)
    return dumps(record) + "\n"


def _text_line(operation: str, level: str, message: str, fields: "Fields") -> str:
    from pyoci.base.jsontext import dumps

    parts = [f'time="{timestamps.now(6)}"', f"level={level}", f"msg={dumps(message)}"]
    if operation:
        parts.append(f"operation={dumps(operation) if ' ' in operation else operation}")
    for key, value in fields.items():
        parts.append(f"{key}={dumps(value)}")
    return " ".join(parts) + "\n"
