"""Which tested file can be sent now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from importer.model import FileFacts, ImportState
from importer.queue.allowed import first_in_the_way, may_be_sent, why_not_sent
from importer.queue.entry import Entry
from importer.requests import Approval, DryRunRequest, Undo

S = ImportState


def entry(number: int, state: ImportState = S.COMPLETED, *, dry_run: bool = False) -> Entry:
    return Entry("acme", number, state, dry_run, number, "/sync_users.csv", FileFacts("sync_users.csv", 1), "2026")


def a_test(state: ImportState = S.COMPLETED, users_as_of: int | None = 3) -> Entry:
    """The test of a file, import 5."""
    return replace(entry(5, state, dry_run=True), trial=DryRunRequest("Ann"), users_as_of=users_as_of)


@pytest.mark.parametrize("state", [S.COMPLETED, S.COMPLETED_WITH_ERRORS, S.UNCHANGED, S.HELD])
def test_a_tested_file_may_be_sent_whatever_its_test_found(state: ImportState) -> None:
    assert may_be_sent(a_test(state))
    assert why_not_sent(a_test(state), None, entry(3), entry(3), None) is None
    assert why_not_sent(a_test(state, users_as_of=None), None, None, None, None) is None


def test_a_dry_run_that_arrived_before_an_import_but_was_queued_after_it_is_newer() -> None:
    assert why_not_sent(replace(a_test(), sequence=7), None, replace(entry(6), sequence=6), entry(3), None) is None


@pytest.mark.parametrize(
    ("asked", "newest", "applied", "code"),
    [
        (entry(5), None, None, "not_sendable"),
        (entry(5, dry_run=True), None, None, "not_sendable"),
        (replace(a_test(), trial=DryRunRequest("Ann", {"delimiter": ";"}, 3)), None, None, "not_sendable"),
        (a_test(S.FAILED), None, None, "not_sendable"),
        (a_test(S.ABORTED), None, None, "not_sendable"),
        (a_test(S.QUEUED), None, None, "not_tested"),
        (a_test(S.RUNNING), None, None, "not_tested"),
        (a_test(), entry(6, S.QUEUED), entry(3), "landed_since"),
        (a_test(), entry(3), entry(2), "users_changed"),  # 3 was undone
        (a_test(), entry(4), entry(4), "users_changed"),  # 4 was held, and approved after the test
        (a_test(users_as_of=None), entry(4), entry(4), "users_changed"),
        (a_test(), None, None, "users_changed"),
    ],
)
def test_everything_else_is_refused(asked: Entry, newest: Entry | None, applied: Entry | None, code: str) -> None:
    why_not = why_not_sent(asked, None, newest, applied, None)
    assert why_not is not None
    assert why_not.code == code


@pytest.mark.parametrize("newest", [6, 9])
def test_a_file_that_was_sent_is_named_whatever_came_later(newest: int) -> None:
    why_not = why_not_sent(a_test(), replace(entry(6), tested=5), entry(newest), entry(newest), None)
    assert why_not is not None
    assert (why_not.code, why_not.message) == ("already_sent", "this file was sent already: it is import 6")


LIST = replace(entry(4, S.QUEUED), correction=False)


@pytest.mark.parametrize(
    ("waiting", "superseded"),
    [
        (LIST, True),
        (replace(LIST, state=S.RUNNING), False),
        (replace(LIST, correction=True), False),
        (replace(LIST, correction=None), False),  # its header is not read yet
        (replace(LIST, approval=Approval("Ann", "2026", (), frozenset())), False),
        (replace(LIST, undo=Undo("Ann", "2026")), False),
    ],
)
def test_an_import_that_runs_before_a_sent_file_is_in_the_way_unless_superseded(
    waiting: Entry, superseded: bool
) -> None:
    assert first_in_the_way([waiting], replaces=True) is (None if superseded else waiting)
    assert first_in_the_way([LIST, waiting], replaces=True) is (None if superseded else waiting)
    assert first_in_the_way([waiting], replaces=False) is waiting
    assert first_in_the_way([], replaces=False) is None
    why_not = why_not_sent(a_test(), None, waiting, entry(3), waiting)
    assert why_not is not None
    assert why_not.code == "import_waits"
    assert why_not.message == f"import 4 is {waiting.state.value}: wait until it ends, then test the file again"
