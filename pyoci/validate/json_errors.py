"""What people write where JSON should be, and what the error says."""

import re

NAME = "a name in double quotes"
VALUE = "a value"
# a text without the quote at its end
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_BEGINS_VALUE = re.compile(r'["\[{]|-?[0-9]|(?:true|false|null)\b')
_WORD = re.compile(r"[A-Za-z_$/~][^\s,:=\]}\"]*")
_LOOKS_EMPTY = "\u00a0\u2000-\u200b\u202f\u3000\ufeff"
# (what stands there, message, hint); the first that fits counts
_SLIPS = [
    (re.compile(form), message, hint)
    for form, message, hint in (
        (r"//|/\*|#", "JSON has no comments", "remove the comment"),
        (r"'([^'\s]*)'", "strings need double quotes", r'write "\1"'),
        (r"'", "strings need double quotes", "write \" instead of '"),
        ("[\u2018-\u201f]", "this is a typographic quote", 'write a straight one: "'),
        (f"[{_LOOKS_EMPTY}]", "this character is invisible, or only looks like a space", "delete it"),
        (r"-?Infinity\b|NaN\b", "this is not a number in JSON", ""),
        (r"None\b", "null is written in lower case", "write null"),
        (r"(?i:(?P<word>true|false|null)\b)", "true, false and null are written in lower case", ""),
        (r"\$\{|(?<=\{)[{%]", "this looks like a template that was not filled in", ""),
        (r"[+.]", "a number starts with a digit or a minus sign", ""),
        (r"(?P<mode>0o?[0-7]{3,5})\b", "numbers are decimal, without leading zero", ""),
        (r"0[xbo]", "numbers are decimal", ""),
        (r"0[0-9]", "a number has no leading zero", ""),
        (r"-?[0-9][0-9.]* ?[A-Za-z]+", "this is not a number", "numbers have no units; sizes are in bytes"),
    )
]


def explain(text: str, at: int, expected: str) -> tuple[str, int, str]:
    """Why `text` is no JSON at the offset `at`, where `expected` should be: message, offset to show, hint."""
    before = text[:at].rstrip(" \t\n\r")
    if expected.startswith('","') and _BEGINS_VALUE.match(text, at) and before:
        return f"expected {expected} after this", len(before) - 1, "a comma is missing here"
    for form, message, hint in _SLIPS:
        found = form.match(text, at)
        if found:
            parts = found.groupdict()
            if "word" in parts:
                return message, at, f"write {parts['word'].lower()}"
            if "mode" in parts:
                return message, at, f"a mode in decimal: {mode(parts['mode'])}"
            return message, at, found.expand(hint)
    word = _WORD.match(text, at)
    shown = word[0][:20] if word else text[at]
    return (
        f"expected {expected}, found {shown}",
        at,
        _hint(before, text[at], word[0] if word else "", expected),
    )


def mode(octal: str) -> int:
    """The number that people mean by 0755 or 0o755."""
    return int(octal.replace("o", ""), 8)


def _hint(before: str, char: str, word: str, expected: str) -> str:
    if not before:
        return "a configuration starts with {"
    if word and expected in (NAME, VALUE):
        return f'write "{word}"'
    if char == ";":
        return "a comma separates members and items"
    if char == "=":
        return "a colon stands between name and value"
    return 'a double quote in a string is written \\"' if before[-1] == '"' and word else ""


def bad_string(text: str, at: int) -> tuple[str, int, str]:
    """The same for a text in quotes that begins well, and is not right further on."""
    good = STRING.match(text, at)
    end = good.end() if good else at
    char = text[end : end + 1]
    if char == "\\":
        return f"{text[end : end + 2]} is not an escape", end, "a backslash is written \\\\"
    if char in ("\n", "\r"):
        return "the line ends inside a string", end, 'close it with ", or write \\n for a line break'
    if char:
        return f"a control character (0x{ord(char):02x}) inside a string", end, f"write \\u{ord(char):04x}"
    return "the string is not closed", at, ""
