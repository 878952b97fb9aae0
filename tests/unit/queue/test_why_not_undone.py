"""Which import can be undone now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from importer.model import FileFacts, ImportState
from importer.queue.allowed import why_not_undone
from importer.queue.entry import Entry
from tests.support.queues import outcome

S = ImportState


def entry(number: int, state: ImportState, *, dry_run: bool = False) -> Entry:
    return Entry("acme", number, state, dry_run, number, "/sync_users.csv", FileFacts("sync_users.csv", 1), "2026")


@pytest.mark.parametrize("state", [S.COMPLETED, S.COMPLETED_WITH_ERRORS])
def test_the_newest_applied_import_may_be_undone(state: ImportState) -> None:
    assert why_not_undone(entry(3, state), entry(3, state), None) is None


def test_an_import_with_only_rejected_rows_cannot_be_undone() -> None:
    rejecting = replace(entry(4, S.COMPLETED_WITH_ERRORS), outcome=outcome(S.COMPLETED_WITH_ERRORS, rejected=1))
    why_not = why_not_undone(rejecting, entry(3, S.COMPLETED), None)
    assert why_not is not None
    assert why_not.code == "nothing_to_undo"


@pytest.mark.parametrize(
    ("asked", "newest", "waiting", "code"),
    [
        (None, None, None, "nothing_to_undo"),
        (entry(2, S.COMPLETED), entry(3, S.COMPLETED), None, "not_newest"),
        (entry(4, S.COMPLETED), entry(3, S.COMPLETED), None, "not_newest"),  # 3 was held, and approved after 4
        (entry(3, S.COMPLETED), entry(3, S.COMPLETED), entry(4, S.QUEUED), "import_waits"),
        (entry(3, S.COMPLETED), entry(3, S.COMPLETED), entry(4, S.RUNNING), "import_waits"),
        (entry(4, S.UNCHANGED), entry(3, S.COMPLETED), None, "nothing_to_undo"),
        (entry(4, S.FAILED), entry(3, S.COMPLETED), None, "not_applied"),
        (entry(4, S.UNDONE), entry(3, S.COMPLETED), None, "not_applied"),
        (entry(4, S.HELD), None, None, "not_applied"),
        (entry(4, S.COMPLETED, dry_run=True), entry(3, S.COMPLETED), None, "dry_run"),
    ],
)
def test_everything_else_is_refused(
    asked: Entry | None, newest: Entry | None, waiting: Entry | None, code: str
) -> None:
    why_not = why_not_undone(asked, newest, waiting)
    assert why_not is not None
    assert why_not.code == code
