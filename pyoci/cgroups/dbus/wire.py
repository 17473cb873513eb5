"""The encoding of D-Bus messages, as far as a client of systemd needs it: pure, little-endian.

D-Bus Specification, "Marshaling (Wire Format)" and "Message Protocol". Values are int, bool, str, list, tuple
(structs) and, for a variant, the pair of signature and value; bytes may stand for an array of bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
HEADER_SIZE = 16  # up to and with the length of the header fields
MAX_MESSAGE = 1 << 27
_LONGEST_SIGNATURE = 255
_FIELDS = {
    "path": (1, "o"),
    "interface": (2, "s"),
    "member": (3, "s"),
    "destination": (6, "s"),
    "signature": (8, "g"),
}
_NUMBERS = {
    "y": (1, False),
    "b": (4, False),
    "n": (2, True),
    "q": (2, False),
    "i": (4, True),
    "u": (4, False),
}
_NUMBERS |= {"x": (8, True), "t": (8, False), "h": (4, False)}
_ALIGNMENT = {"s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8, "d": 8}


class WireError(ValueError):
    """A message that does not follow the protocol, or a value that does not fit its signature."""


class Message:
    """A message that was received."""

    __slots__ = ("body", "fields", "kind")

    def __init__(self, kind: int, fields: dict[int, object], body: list[object]) -> None:
        self.kind = kind
        self.fields = fields
        self.body = body

    @property
    def reply_to(self) -> int:
        """The serial number of the call that this answers, 0 for none."""
        found = self.fields.get(5)
        return found if isinstance(found, int) else 0

    @property
    def error(self) -> str:
        """The name of the error, or ""."""
        return str(self.fields.get(4, ""))

    @property
    def member(self) -> str:
        """The name of the signal or method."""
        return str(self.fields.get(3, ""))

    @property
    def interface(self) -> str:
        """The interface that has the member."""
        return str(self.fields.get(2, ""))


def call(serial: int, signature: str, body: list[object], **fields: str) -> bytes:
    """A method call with the named header fields. Raises WireError."""
    content = _Writer()
    for part, value in zip(split(signature), body, strict=True):
        content.put(part, value)
    if signature:
        fields["signature"] = signature
    head = _Writer()
    head.data += bytes((ord("l"), METHOD_CALL, 0, 1))
    head.put("u", len(content.data))
    head.put("u", serial)
    head.put(
        "a(yv)", [(code, (kind, fields[name])) for name, (code, kind) in _FIELDS.items() if name in fields]
    )
    head.align(8)
    return bytes(head.data + content.data)


def check(signature: str, value: object) -> None:
    """See that a value can be sent as this one type. Raises WireError, ValueError."""
    if len(split(signature)) != 1:
        raise WireError(f'"{signature}" is not a single type')
    _Writer().put(signature, value)


def size_of(start: bytes) -> int:
    """The size of a whole message from its first `HEADER_SIZE` bytes. Raises WireError."""
    if start[:1] != b"l" or start[3] != 1:
        raise WireError("not a little-endian message of D-Bus protocol 1")
    body, fields = int.from_bytes(start[4:8], "little"), int.from_bytes(start[12:16], "little")
    size = HEADER_SIZE + (fields + 7) // 8 * 8 + body
    if size > MAX_MESSAGE:
        raise WireError("message too long")
    return size


def parse(data: bytes) -> Message:
    """A whole message. Raises WireError."""
    reader = _Reader(data)
    reader.at = 12
    fields = {code: value for code, (_, value) in reader.get("a(yv)")}
    reader.align(8)
    body = [reader.get(part) for part in split(str(fields.get(8, "")))]
    return Message(data[1], fields, body)


def split(signature: str) -> list[str]:
    """The complete types of a signature. Raises WireError."""
    if len(signature) > _LONGEST_SIGNATURE:
        raise WireError(f"a signature of more than {_LONGEST_SIGNATURE} types")
    parts = []
    while signature:
        end = _end(signature)
        parts.append(signature[:end])
        signature = signature[end:]
    return parts


def _end(signature: str) -> int:
    """Where the first complete type ends."""
    kind = signature[:1]
    if kind == "a":
        return 1 + _end(signature[1:])
    if kind in ("(", "{"):
        closing = ")" if kind == "(" else "}"
        at = 1
        while signature[at : at + 1] != closing:
            at += _end(signature[at:])
        return at + 1
    if kind in _NUMBERS or kind in ("s", "o", "g", "v", "d"):
        return 1
    raise WireError(f'"{signature}" is not a D-Bus signature')


def _alignment(kind: str) -> int:
    return _NUMBERS[kind][0] if kind in _NUMBERS else _ALIGNMENT[kind]


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def put(self, signature: str, value: "Any") -> None:
        kind = signature[0]
        self.align(_alignment(kind))
        if kind in _NUMBERS:
            self._put_number(kind, value)
        elif kind in ("s", "o", "g"):
            encoded = str(value).encode()
            self.data += len(encoded).to_bytes(1 if kind == "g" else 4, "little") + encoded + b"\0"
        elif kind == "v":
            self.put("g", value[0])
            self.put(value[0], value[1])
        elif kind == "a":
            self._put_array(signature[1:], value)
        elif kind == "d":
            import _struct

            self.data += _struct.pack("<d", value)
        else:
            for part, item in zip(split(signature[1:-1]), value, strict=True):
                self.put(part, item)

    def _put_number(self, kind: str, value: int) -> None:
        size, signed = _NUMBERS[kind]
        try:
            self.data += int(value).to_bytes(size, "little", signed=signed)
        except OverflowError:
            raise WireError(f'{value} does not fit the type "{kind}"') from None

    def _put_array(self, item: str, values: "Any") -> None:
        length_at = len(self.data)
        self.data += bytes(4)
        self.align(_alignment(item[0]))
        start = len(self.data)
        for value in values:
            self.put(item, value)
        self.data[length_at : length_at + 4] = (len(self.data) - start).to_bytes(4, "little")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def align(self, size: int) -> None:
        self.at += -self.at % size

    def take(self, size: int) -> bytes:
        chunk = self.data[self.at : self.at + size]
        if len(chunk) != size:
            raise WireError("message ends early")
        self.at += size
        return chunk

    def get(self, signature: str) -> "Any":
        kind = signature[0]
        self.align(_alignment(kind))
        if kind in _NUMBERS:
            size, signed = _NUMBERS[kind]
            number = int.from_bytes(self.take(size), "little", signed=signed)
            return bool(number) if kind == "b" else number
        if kind in ("s", "o", "g"):
            length = int.from_bytes(self.take(1 if kind == "g" else 4), "little")
            return self.take(length + 1)[:-1].decode("utf-8", "replace")
        if kind == "v":
            inner = self.get("g")
            if len(split(inner)) != 1:
                raise WireError("a variant must hold exactly one complete type")
            return inner, self.get(inner)
        if kind == "a":
            return self._get_array(signature[1:])
        if kind == "d":
            import _struct

            return _struct.unpack("<d", self.take(8))[0]
        return tuple(self.get(part) for part in split(signature[1:-1]))

    def _get_array(self, item: str) -> "list[Any]":
        length = int.from_bytes(self.take(4), "little")
        self.align(_alignment(item[0]))
        end = self.at + length
        if end > len(self.data):
            raise WireError("the array is longer than the message")
        values = []
        while self.at < end:
            values.append(self.get(item))
        return values
