"""The generated yes/no checker and jsonschema must agree on every document.

PYOCI_MUTATIONS sets how many documents are tried (default 10000), PYOCI_SEED where the random numbers start.
"""

from __future__ import annotations

import json
import os
from random import Random

import pytest
from property.mutations import load, mutate

from pyoci import _generated
from pyoci.validate import schema

COUNT = int(os.environ.get("PYOCI_MUTATIONS", "10000"))
SEED = int(os.environ.get("PYOCI_SEED", "1300"))
CHECKERS = {kind: getattr(_generated, kind) for kind in schema.KINDS}


def test_the_documents_to_start_from_are_accepted() -> None:
    """What is not accepted unchanged would hide what a change does."""
    documents = load()
    assert len(documents) > 20
    for kind, value in documents:
        assert [str(problem) for problem in schema.problems(value, kind)] == []
        assert CHECKERS[kind](value)


@pytest.mark.parametrize("part", range(10))
def test_both_checkers_agree(part: int) -> None:
    """Ten thousand changed documents, in ten parts."""
    random = Random(SEED * 10 + part)
    documents = load()
    refused = 0
    for number in range(COUNT // 10):
        kind, value = documents[number % len(documents)]
        changed = mutate(value, random)
        quick, thorough = CHECKERS[kind](changed), schema.accepts(changed, kind)
        assert quick == thorough, f"{kind}: {json.dumps(changed)}: {schema.problems(changed, kind)}"
        refused += not quick
    assert COUNT // 10 < 100 or 0.2 < refused / (COUNT // 10) < 0.95, (
        "the changes are too harmless, or too harsh"
    )
