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
