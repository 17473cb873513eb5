"""docs/validation.md lists what the check can say, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

from unit.check_cases import codes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "validation.md"


def test_every_code_is_documented() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    documented = {code: set(severities.split(", ")) for code, severities, _ in rows}
    assert len(rows) == len(documented), "a code is listed twice"
    assert documented == codes()
