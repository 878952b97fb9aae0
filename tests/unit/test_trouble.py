"""Repeated failures are logged once a minute, with a traceback only for internal errors."""

from __future__ import annotations

import errno
import logging

import pytest

from importer.errors import DatabaseAway, TryAgain
from server.trouble import LOGGED_EVERY_S, Trouble, outside_cause

LOG = logging.getLogger("server.test")
FULL = TryAgain("disk_full", "the disk is full")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FULL, "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (OSError(errno.ENOENT, "No such file or directory"), None),
        (RuntimeError("a fault"), None),
    ],
)
def test_errors_of_the_disk_have_an_outside_cause_and_internal_errors_none(error: Exception, why: str | None) -> None:
    assert outside_cause(error) == why


def test_repeated_trouble_is_logged_once_a_minute_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    trouble = Trouble(LOG, "Writing fails", {"event": "it"}, clock=lambda: now)
    for _ in range(3):
        trouble.met(FULL)
    trouble.met(RuntimeError("a fault"))
    now += LOGGED_EVERY_S
    trouble.met(FULL)
    told = [(record.message, bool(record.exc_info), getattr(record, "times", 0)) for record in caplog.records]
    assert told == [
        ("Writing fails: the disk is full; retrying.", False, 1),
        ("Writing fails; retrying.", True, 1),
        ("Writing fails: the disk is full; retrying.", False, 3),
    ]


def test_a_database_that_is_busy_for_a_moment_is_not_logged_as_trouble(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trouble = Trouble(LOG, "Writing fails", {"event": "unwritten"}, clock=lambda: 0.0)
    trouble.met_unless_busy(TryAgain("database_busy", "another process holds the database"))
    assert caplog.records == []
    trouble.met_unless_busy(FULL)
    assert [record.getMessage() for record in caplog.records] == ["Writing fails: the disk is full; retrying."]


def test_trouble_with_a_database_that_is_away_is_logged_after_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 20.0, 59.0, 200.0, 230.0, 259.0, 260.0, 260.0])  # away twice
    trouble = Trouble(LOG, "Writing fails", {"event": "it"}, clock=lambda: next(times))
    for _ in range(6):
        trouble.met(DatabaseAway("connection refused"))
    assert caplog.records == []
    trouble.met(DatabaseAway("connection refused"))
    assert caplog.messages == ["Writing fails: the database cannot be reached: connection refused; retrying."]
