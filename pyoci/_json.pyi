# The module made from csrc/json/json.c.
from typing import Any

DEPTH: int

def loads(text: str | bytes, unique: bool, most: int, /) -> Any: ...
def dumps(value: object, /) -> str: ...
