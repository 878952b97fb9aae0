"""Every event in docs/operating.md is logged at its level, and seen by a test; every logged event is on the page."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import ROOT

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
PACKAGES = ("server", "engine", "importer", "keys", "ground")

OF_ITS_OWN = {"listening"}
"""A line at any level; the page explains it where the server starts."""

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
HELPERS = {"tell": "error", "Trouble": "error"}
"""Functions of server/trouble.py that log, with their level."""


@cache
def logged() -> frozenset[str]:
    """The events of all log lines in the source."""
    return frozenset(name for file in _sources() for name in _events(_tree(file)))


@cache
def levels() -> dict[str, set[str]]:
    """The levels of each event. Events whose level is a variable are missing."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in _sources():
        tree = _tree(file)
        helpers = {each.name: set(_events(each)) for each in _functions(tree)}
        for function in _functions(tree):
            named = _named(function)
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and (level := _level(call)):
                    for event in _of_call(call, named, helpers):
                        found[event].add(level)
    return found


@cache
def seen() -> frozenset[str]:
    """Return the texts in tests that are an event, without this file and the others about docs."""
    here, found = Path(__file__).parent, set[object]()
    named = {file: _quoted(file) & logged() for file in (ROOT / "tests").rglob("test_*.py") if file.parent != here}
    for file, events in sorted(named.items(), key=lambda each: -len(each[1])):
        if events - found:  # reading all files takes seconds
            found |= {node.value for node in ast.walk(_tree(file)) if isinstance(node, ast.Constant)}
    return logged() & found


def documented() -> dict[str, set[str]]:
    """The events in the tables of the section about logs, each with its levels."""
    section = PAGE.partition("## Logs")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`.+?) \| ([a-z, ]+) \|", section, re.MULTILINE)
    return {event: set(level.split(", ")) for names, level in found for event in re.findall(r"`(\w+)`", names)}


def test_every_event_is_documented_and_no_other() -> None:
    assert documented().keys() == logged() - OF_ITS_OWN


def test_every_documented_event_is_seen_by_a_test() -> None:
    assert documented().keys() - seen() == set()


def test_every_event_has_the_levels_of_the_code() -> None:
    known = {event: found - {"debug"} for event, found in levels().items()}
    assert len(known) > len(logged()) - 5, "most levels must be found in the source"
    assert {event: found for event, found in documented().items() if event in known} == {
        event: found for event, found in known.items() if event in documented()
    }


@cache
def _sources() -> list[Path]:
    """Return the files that log an event."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return [file for file in files if '"event"' in file.read_text(encoding="utf-8")]


def _quoted(file: Path) -> set[str]:
    """Return all words of a file that are whole texts, and others that only stand between quotes."""
    return set(re.findall(r"""(?<=["'])\w+(?=["'])""", file.read_text(encoding="utf-8")))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]


def _events(tree: ast.AST) -> Iterator[str]:
    """Yield the value of each key "event" in a dict of `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "event":
                    texts = [each.value for each in ast.walk(value) if isinstance(each, ast.Constant)]
                    yield from (text for text in texts if isinstance(text, str))


def _named(function: ast.AST) -> dict[str, set[str]]:
    """The events in the values of a function's variables."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] |= set(_events(node.value))
    return found


def _level(call: ast.Call) -> str | None:
    function = call.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log":
        return LEVELS.get(function.attr)
    return HELPERS.get(function.id) if isinstance(function, ast.Name) else None


def _of_call(call: ast.Call, named: dict[str, set[str]], helpers: dict[str, set[str]]) -> set[str]:
    """The events in the arguments of a call: as they stand, in a variable, or made by a function of the file."""
    found = set(_events(call))
    for node in ast.walk(call):
        if isinstance(node, ast.Name):
            found |= named.get(node.id, set())
        if isinstance(node, ast.Call) and node is not call and isinstance(node.func, ast.Name):
            found |= helpers.get(node.func.id, set())
    return found
