"""Every event of the log that docs/operating.md names is logged somewhere, and a test sees it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import ROOT

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

OF_THE_PROCESS = {"listening", "stopping", "stopped", "stopping_at_once"}


@cache
def logged() -> frozenset[str]:
    """The events of all log lines in the source."""
    return frozenset(
        name for folder in ("server", "engine", "importer", "keys", "ground") for name in _events(ROOT / folder)
    )


@cache
def seen() -> frozenset[str]:
    """The texts in the code of tests that are an event, this file and the others about docs aside."""
    here = Path(__file__).parent
    trees = [_tree(file) for file in (ROOT / "tests").rglob("test_*.py") if file.parent != here]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return frozenset(each for each in texts if isinstance(each, str)) & logged()


def documented() -> set[str]:
    """The events in the tables of the section about logs."""
    section = PAGE.partition("## Logs")[2].partition("\n## ")[0]
    return set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.+?) \|", section, re.MULTILINE))))


def test_every_event_is_documented_and_no_other() -> None:
    assert documented() == logged() - OF_THE_PROCESS


def test_every_documented_event_is_seen_by_a_test() -> None:
    assert documented() - seen() == set()


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _events(folder: Path) -> Iterator[str]:
    """Yield the value of each key "event" in a dict of the source."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "event":
                        texts = [each.value for each in ast.walk(value) if isinstance(each, ast.Constant)]
                        yield from (text for text in texts if isinstance(text, str))
