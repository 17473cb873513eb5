"""features: what cannot be tried with a container: the annotations that are obeyed, and the words of --version."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pyoci
from pyoci.cli import features, version
from pyoci.spec.annotations import UNSAFE
from pyoci.spec.unsupported import ANNOTATIONS

PACKAGE = Path(pyoci.__file__).parent
ANNOTATION = re.compile(r"(run\.oci|org\.systemd|org\.criu|org\.pyoci)\.[\w.]+")
# of the features document, not of a configuration
OURS = {"org.pyoci.commit", "org.pyoci.version", "org.pyoci.landlock.abi"}


def test_every_annotation_that_the_code_names_is_one_to_be_warned_of() -> None:
    """Or it is refused."""
    named = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= {node.value} if ANNOTATION.fullmatch(node.value) else set()
    assert named - OURS - set(ANNOTATIONS) == set(UNSAFE)


def printed(*, commit: str = "", checkpoint: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = features.document(commit=commit, checkpoint=checkpoint)
    return found


def test_the_words_of_the_version_are_those_of_the_features() -> None:
    linux = printed()["linux"]
    claims = {
        "SYSTEMD": linux["cgroup"]["systemd"],
        "SELINUX": linux["selinux"]["enabled"],
        "APPARMOR": linux["apparmor"]["enabled"],
        "SECCOMP": linux["seccomp"]["enabled"],
        "CAP": bool(linux["capabilities"]),
        "EBPF": linux["cgroup"]["v2"],  # device rules are programs there
    }
    words = [word.removeprefix("+") for word in version._FEATURES.split()]
    assert set(words) == {word for word, claim in claims.items() if claim} and len(words) == len(set(words))


def test_the_commit_and_the_commands_are_told() -> None:
    found = printed(commit="abc", checkpoint=True)["annotations"]
    assert found["org.pyoci.commit"] == "abc"
    assert found["org.opencontainers.runc.checkpoint.enabled"] == "true"
