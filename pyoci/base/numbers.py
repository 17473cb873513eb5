"""Numbers in texts that come from elsewhere: options, annotations, the environment, config.json."""


def decimal(text: str, most: int) -> int:
    """The number that a text of ASCII digits stands for; -1 when it is no such text, or more than `most`.

    int() takes digits of all scripts, and raises ValueError for thousands of them.
    """
    if not (text.isascii() and text.isdigit()):
        return -1
    text = text.lstrip("0") or "0"
    number = int(text) if len(text) <= len(str(most)) else most + 1
    return number if number <= most else -1


def ranges(text: str, most: int) -> list[tuple[int, int]] | None:
    """The ranges, first and last number, of a list such as "0-3,7"; None when it is no such list, or has more than `most`.

    Blanks around numbers and empty parts mean nothing.
    """
    found = []
    for part in text.split(","):
        if not part.strip():
            continue
        first, dash, last = part.partition("-")
        low = decimal(first.strip(), most)
        high = decimal(last.strip(), most) if dash else low
        if not 0 <= low <= high:
            return None
        found.append((low, high))
    return found


def bit_mask(found: list[tuple[int, int]]) -> bytes:
    """Ranges as the kernel takes them: bit n for number n, in words of 64 bits, little-endian as our machines are."""
    mask = 0
    for low, high in found:
        mask |= (1 << high + 1) - (1 << low)
    return mask.to_bytes((mask.bit_length() + 63) // 64 * 8, "little")
