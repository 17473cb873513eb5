"""Texts for a terminal: names from a bundle may carry what a terminal obeys, and what turns the order of letters round."""


def lines(text: str) -> str:
    """The text with nothing but newlines and letters that are seen; any other character becomes an escape."""
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    return "\n".join([line(part) for part in text.split("\n")])


def line(text: str) -> str:
    """The same on one line: a newline is an escape, too."""
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
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def utf8_size(text: str) -> int:
    """How many bytes a text has in UTF-8; unlike encode() it takes halves of surrogate pairs, which JSON can escape."""
    return len(text) + sum([(code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF) for code in map(ord, text)])
