"""The log says once that the database is away, with its host, and once that it is back."""

from __future__ import annotations

import pytest

from importer.errors import DatabaseAway, FilesAway
from server.tenants.shared.away import AwayLog, FilesAwayLog, TokenLog


@pytest.mark.logs("database_away")
@pytest.mark.logs("database_back")
def test_the_log_has_the_reason_and_how_long_the_database_was_away(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([10.0, 14.5])
    log = AwayLog(clock=lambda: next(times))
    log(DatabaseAway("connection to 192.0.2.7 refused"))
    log(None)
    assert caplog.messages == [
        "The database is away (the database cannot be reached: connection to 192.0.2.7 refused); retrying.",
        "The database is back after 4.5 seconds.",
    ]


@pytest.mark.logs("files_away", "files_back")
def test_the_log_has_the_same_about_the_storage_of_files(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([10.0, 14.5])
    log = FilesAwayLog(clock=lambda: next(times))
    log(FilesAway("it answers 403 AccessDenied"))
    log(None)
    assert caplog.messages == [
        "The storage of files is away (it answers 403 AccessDenied); retrying.",
        "The storage of files is back after 4.5 seconds.",
    ]


@pytest.mark.logs("files_token_refused", "files_token_taken")
def test_the_log_says_why_the_storage_takes_no_new_token_and_when_it_does(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([10.0, 14.5])
    log = TokenLog(clock=lambda: next(times))
    log(FilesAway("no"))
    log(None)
    assert caplog.messages == [
        "The storage of files takes no new token (no), so a copy of the database is not noticed; retrying.",
        "The storage of files takes new tokens again, after 4.5 seconds.",
    ]
