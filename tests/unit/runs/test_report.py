"""The report of a run: its fields, and the limits of what a hook says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.runs import Run, RunOutcome
from headcount.hooks import Message, Result
from importer.model import MESSAGES_IN_REPORT, ImportState
from server.runs.report import (
    COUNTS_KEPT,
    LETTERS_KEPT,
    MORE,
    WORD_KEPT,
    has_errors,
    outcome_of,
    run_json,
    sentence_of,
)

NOON = "2026-03-31T12:00:00.000Z"
RUN = Run("acme", 7, "invoices", "/invoices/march.csv", ImportState.QUEUED, 3, 120, NOON, attempts=2)


def test_a_report_has_the_fields_of_every_list() -> None:
    said = {"severity": "error", "code": "hook", "line": 2, "column": "net", "value": None, "message": "No number."}
    ended = replace(
        RUN,
        state=ImportState.COMPLETED_WITH_ERRORS,
        sha256="ab" * 32,
        started_at=NOON,
        finished_at=NOON,
        message="2 invoices.",
        error="for the operator",
        outcome=RunOutcome({"invoices": 2}, (said,)),
    )
    assert run_json(ended) == {
        "id": 7,
        "hook": "invoices",
        "path": "/invoices/march.csv",
        "state": "completed_with_errors",
        "attempt": 2,
        "file": {"name": "march.csv", "size": 120, "sha256": "ab" * 32},
        "uploaded_at": NOON,
        "started_at": NOON,
        "finished_at": NOON,
        "message": "2 invoices.",
        "counts": {"invoices": 2},
        "messages": [said],
    }


def test_a_run_that_has_said_nothing_has_no_counts_and_no_messages() -> None:
    report = run_json(RUN)
    assert (report["counts"], report["messages"], report["message"]) == ({}, [], None)


def test_a_file_that_arrives_is_shown_as_queued() -> None:
    assert run_json(replace(RUN, state=ImportState.ARRIVING))["state"] == "queued"


def test_what_a_hook_says_is_stored_on_single_lines() -> None:
    outcome = outcome_of(Result(counts={"new\nrows": 1}, messages=[Message("warning", "a\n\x1b[31m b", code="x\ty")]))
    assert outcome.counts == {"new rows": 1}
    assert (outcome.messages[0]["message"], outcome.messages[0]["code"]) == ("a [31m b", "x y")
    assert sentence_of("Two\nlines. ") == "Two lines."


@pytest.mark.parametrize("nothing", [None, "", " \n"])
def test_an_empty_sentence_is_none(nothing: str | None) -> None:
    assert sentence_of(nothing) is None


def test_a_hook_that_says_too_much_is_cut() -> None:
    counts = {f"{number:03}{'n' * 200}": number for number in range(COUNTS_KEPT + 5)}
    messages = [Message("notice", "x" * 5000, column="c" * 500) for _ in range(MESSAGES_IN_REPORT + 1234)]
    outcome = outcome_of(Result(counts=counts, messages=messages))
    assert len(outcome.counts) == COUNTS_KEPT
    assert {len(name) for name in outcome.counts} == {WORD_KEPT}
    assert len(outcome.messages) == MESSAGES_IN_REPORT + 1
    assert len(outcome.messages[0]["message"]) == LETTERS_KEPT
    assert len(outcome.messages[0]["column"]) == WORD_KEPT
    assert outcome.messages[-1]["code"] == MORE
    assert outcome.messages[-1]["message"].startswith("1,234 more messages")


def test_an_error_behind_the_limit_counts() -> None:
    many = [Message("notice", "fine")] * 200
    assert not has_errors(Result(messages=many))
    assert has_errors(Result(messages=[*many, Message("error", "wrong")]))


@pytest.mark.parametrize(
    "wrong",
    [
        Result(counts={"rows": "many"}),  # type: ignore[dict-item]
        Result(messages=[Message("fatal", "x")]),  # type: ignore[arg-type]
        Result(messages=[Message("error", "x", line="two")]),  # type: ignore[arg-type]
        Result(messages=["x"]),  # type: ignore[list-item]
        Result(counts=None),  # type: ignore[arg-type]
    ],
)
def test_values_of_other_types_are_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        outcome_of(wrong)
