"""Ends of runs and waits for their next attempts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest

from engine.runs import Run, RunOutcome
from headcount.hooks import Message, Result
from importer.model import ImportState
from server.runs.ends import ATTEMPTS, Again, Done, Failed, Stopped
from server.runs.turns import LONGEST_S, NOT_A_RESULT, Waits, after, is_due, never_ran, seconds_to_next, wait_s

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
NOON = "2026-03-31T12:00:00.000Z"
S = NOW.timestamp()
RUN = Run(
    "acme", 7, "invoices", "/invoices/march.csv", ImportState.RUNNING, 3, 120, NOON, started_at=NOON, attempts=1
)


def test_a_hook_that_returns_completes_its_run() -> None:
    run = after(replace(RUN, error="KeyError: x"), Done(Result("2 invoices.", {"invoices": 2})), NOW)
    assert isinstance(run, Run)
    assert (run.state, run.message, run.error, run.finished_at) == (ImportState.COMPLETED, "2 invoices.", None, NOON)
    assert run.outcome == RunOutcome({"invoices": 2}, ())


def test_a_message_of_severity_error_makes_a_run_completed_with_errors() -> None:
    run = after(RUN, Done(Result(messages=[Message("error", "Line 2 has no date.", line=2)])), NOW)
    assert isinstance(run, Run)
    assert run.state is ImportState.COMPLETED_WITH_ERRORS


def test_a_result_of_wrong_types_fails_the_run() -> None:
    wrong: Any = Result(counts={"rows": "many"})  # type: ignore[dict-item]
    run = after(RUN, Done(wrong), NOW)
    assert isinstance(run, Run)
    assert (run.state, run.message, run.outcome) == (ImportState.FAILED, NOT_A_RESULT, None)
    assert run.error == "ValueError in the result of the hook"


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 10), (2, 60), (3, 300), (4, 1800)])
def test_an_attempt_follows_after_the_usual_wait(attempts: int, seconds: float) -> None:
    waits = after(replace(RUN, attempts=attempts), Again("The hook failed.", "KeyError: 'net'"), NOW)
    assert waits == Waits("The hook failed.", "KeyError: 'net'", S + seconds)


def test_the_fifth_failure_is_the_end() -> None:
    run = after(replace(RUN, attempts=ATTEMPTS), Again("The hook failed.", "KeyError: 'net'"), NOW)
    assert isinstance(run, Run)
    assert (run.state, run.message, run.error) == (ImportState.FAILED, "The hook failed.", "KeyError: 'net'")


def test_a_hook_that_asks_for_another_time_fails_after_five_attempts_too() -> None:
    assert after(RUN, Again("The bank is closed.", None, 7200), NOW) == Waits("The bank is closed.", None, S + 7200)
    run = after(replace(RUN, attempts=ATTEMPTS), Again("The bank is closed.", None, 7200), NOW)
    assert isinstance(run, Run)
    assert (run.state, run.message) == (ImportState.FAILED, "The bank is closed.")


@pytest.mark.parametrize(
    ("asked", "seconds"), [(0, 0), (-5, 0), (2.5, 2.5), (1e9, LONGEST_S), (inf, 10), (nan, 10), (None, 10)]
)
def test_a_wait_is_at_most_a_day(asked: float | None, seconds: float) -> None:
    assert wait_s(1, asked) == seconds


def test_a_failure_for_good_has_no_further_attempt() -> None:
    run = after(RUN, Failed("The command ended with exit code 3.", "exit code 3"), NOW)
    assert isinstance(run, Run)
    assert (run.state, run.finished_at) == (ImportState.FAILED, NOON)


def test_an_attempt_that_the_server_ends_does_not_count() -> None:
    waits = after(replace(RUN, message="The bank is closed.", error="Retry"), Stopped(), NOW)
    assert waits == Waits("The bank is closed.", "Retry", 0.0, counted=False)


def test_a_run_is_due_when_its_wait_is_over() -> None:
    waiting = replace(RUN, not_before=S + 10)
    assert not is_due(waiting, S)
    assert is_due(waiting, S + 10)
    assert is_due(replace(RUN, not_before=0), S)


def test_a_wait_of_a_clock_that_was_set_back_is_over() -> None:
    assert is_due(replace(RUN, not_before=S + LONGEST_S + 1), S)
    assert not is_due(replace(RUN, not_before=S + LONGEST_S), S)


def test_the_first_wait_that_ends_is_waited_for() -> None:
    heads = [replace(RUN, not_before=S + seconds) for seconds in (60, 5, 300)]
    assert seconds_to_next([*heads, RUN], S) == 5
    assert seconds_to_next([RUN], S) is None


def test_an_upload_that_became_no_run_has_its_reason_and_an_end() -> None:
    arriving = replace(RUN, state=ImportState.ARRIVING, started_at=None)
    run = never_ran(arriving, ImportState.ABORTED, "The file has a virus.", "Eicar-Test", NOW)
    assert (run.state, run.message, run.error, run.finished_at) == (
        ImportState.ABORTED,
        "The file has a virus.",
        "Eicar-Test",
        NOON,
    )
