"""An import whose undo failed says so, and keeps the message of its own result."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from importer.model import Counts, FileFacts, ImportState, Outcome
from importer.queue.entry import Entry
from importer.requests import Undo

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = FileFacts("sync_users.csv", 5)


@pytest.mark.parametrize(
    ("why", "said_before", "told"),
    [
        ("it is gone", None, "The undo failed: it is gone"),
        (
            "It is gone.",
            "Look at this first: names.",
            "The undo failed: It is gone. Look at this first: names.",
        ),
    ],
)
def test_a_failed_undo_keeps_the_message_of_the_import(why: str, said_before: str | None, told: str) -> None:
    applied = Outcome(ImportState.COMPLETED, Counts(), FILE, (), said_before)
    undone = Undo("operator", "2026-03-01T12:00:00.000Z")
    entry = Entry("acme", 1, ImportState.RUNNING, False, 1, "/sync_users.csv", FILE, "", outcome=applied, undo=undone)
    ended = entry.ended(replace(applied, state=ImportState.FAILED, message=why), NOON)
    assert (ended.state, ended.message) == (ImportState.COMPLETED, told)
