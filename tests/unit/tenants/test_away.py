"""The log says once that the database is away, with its host, and once that it is back."""

from __future__ import annotations

import pytest

from importer.errors import DatabaseAway
from server.tenants.shared.away import AwayLog


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
