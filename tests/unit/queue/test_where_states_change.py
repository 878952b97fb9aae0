"""Only the queue changes the state of an import, only the runs that of a run, and only the decisions approve."""

from __future__ import annotations

import re

from tests.support import ROOT

ENGINES = ("postgres", "sqlite")


def sources_with(pattern: str) -> set[str]:
    files = [file for package in ("importer", "engine", "server") for file in (ROOT / package).rglob("*.py")]
    return {str(file.relative_to(ROOT)) for file in files if re.search(pattern, file.read_text(encoding="utf-8"))}


def of_each_engine(name: str) -> set[str]:
    return {f"engine/{engine}/server/{name}" for engine in ENGINES}


def test_only_the_queue_changes_the_state_of_an_import() -> None:
    assert sources_with(r"UPDATE imports SET (\w+ = [^\"]*, )*state = ") == of_each_engine("queue.py")
    assert sources_with(r"INTO imports\b") == of_each_engine("queue.py")


def test_only_the_store_of_runs_changes_the_state_of_a_run() -> None:
    assert sources_with(r"UPDATE runs SET (\w+ = [^\"]*, )*state = ") == of_each_engine("runs.py")
    assert sources_with(r"INTO runs\b") == of_each_engine("runs.py")


def test_only_the_decisions_approve_an_import() -> None:
    assert sources_with(r"queue\.approve\(") == {"importer/worker/decisions.py"}
