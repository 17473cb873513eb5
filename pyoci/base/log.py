"""The log: one line for the failure, in the form and the place the caller asked for.

Engines read the file of `--log`: containerd takes the last line whose level is "error", podman reads the
whole file as one JSON object. So a failed command writes one line and nothing else: warnings wait, and go
into that line as `warnings`; when the command succeeds they become lines of their own. Without a log file
they go to standard error at once. The text of an error always goes to standard error too, where engines
look for words such as "does not exist".
"""

import posix

from pyoci.base import files, timestamps
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Fields = dict[str, str | list[str]]

_APPEND = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOCTTY

_path = ""
_json = False
_debug = False
_operation = ""
_held: "list[tuple[str, Fields]]" = []


def configure(path: str, *, json: bool, debug: bool) -> None:
    """Set where and how to log; "" and "/dev/stderr" mean standard error.

    Raises OciError `log-file` when the file can't be written. It is not kept open: its descriptor could
    be one of those that --preserve-fds hands to the container.
    """
    global _path, _json, _debug
    _path, _json, _debug = "", json, debug
    _held.clear()
    if not path or path == "/dev/stderr":
        return
    try:
        if path[:1] != "/":  # the working directory is going to be the bundle
            path = f"{posix.getcwd()}/{path}"
        posix.close(posix.open(path, _APPEND, 0o644))
    except OSError as error:
        hint = "name a file that can be made or written with --log; the directory must be there"
        raise OciError("log-file", f"log file {path}", errno=error.errno or 0, obj=path, hint=hint) from None
    _path = path


def operation(name: str) -> None:
    """Set the name of the command that runs, for every later line."""
    global _operation
    _operation = name


def failure(error: OciError) -> None:
    """Log the error that ends the command."""
    fields: Fields = {**error.fields()}
    if _held:
        fields["warnings"] = [message for message, _ in _held]
        _held.clear()
    _write("error", error.text(), fields, also_stderr=True)


def warning(message: str, *, code: str = "", pointer: str = "") -> None:
    """Log what a person should know although the command goes on."""
    fields: Fields = {}
    if code:
        fields["code"] = code
    if pointer:
        fields["pointer"] = pointer
    if _path and not _debug:
        _held.append((message, fields))
    else:
        _write("warning", message, fields, also_stderr=_debug)


def debug(message: str) -> None:
    """Log a detail, if --debug asks for details."""
    if _debug:
        _write("debug", message, {}, also_stderr=False)


def finish() -> None:
    """Write the warnings of a command that succeeded."""
    for message, fields in _held:
        _write("warning", message, fields, also_stderr=False)
    _held.clear()


def clean(text: str) -> str:
    """The text on one line, without control characters: names from a bundle may carry escape sequences."""
    if text.isprintable():
        return text
    return "".join([letter if letter.isprintable() else _escape(letter) for letter in text])


def _escape(letter: str) -> str:
    code = ord(letter)
    if letter == "\n":
        return "\\n"
    if letter == "\t":
        return " "
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as surrogateescape keeps it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _write(level: str, message: str, fields: "Fields", *, also_stderr: bool) -> None:
    message = clean(message)
    if _path or _json:
        line = _json_line(level, message, fields) if _json else _text_line(level, message, fields)
        if not _path:
            files.err(line)
            return
        try:
            fd = posix.open(_path, _APPEND, 0o644)
            try:
                files.write_all(fd, line.encode())
            finally:
                posix.close(fd)
        except OSError:
            also_stderr = True
        if not also_stderr:
            return
    files.err(_plain(level, message, fields))


def _plain(level: str, message: str, fields: "Fields") -> str:
    """What a person reads on standard error."""
    prefix = f"pyoci: {_operation}: " if _operation else "pyoci: "
    kind = "" if level == "error" else f"{level}: "
    text = f"{prefix}{kind}{message}\n"
    if "hint" in fields:
        text += f"  hint: {clean(str(fields['hint']))}\n"
    if _debug:
        details = [f"{key}={value}" for key, value in fields.items() if key not in ("hint", "warnings")]
        if details:
            text += f"  {clean(' '.join(details))}\n"
    return text


def _json_line(level: str, message: str, fields: "Fields") -> str:
    from pyoci.base.jsontext import dumps

    record: Fields = {"level": level, "msg": message, "time": timestamps.now(6)}
    if _operation:
        record["operation"] = _operation
    record.update(fields)
    return dumps(record) + "\n"


def _text_line(level: str, message: str, fields: "Fields") -> str:
    from pyoci.base.jsontext import dumps

    parts = [f'time="{timestamps.now(6)}"', f"level={level}", f"msg={dumps(message)}"]
    if _operation:
        parts.append(f"operation={_operation}")
    for key, value in fields.items():
        parts.append(f"{key}={dumps(value)}")
    return " ".join(parts) + "\n"
