"""A process that lands files in PostgreSQL and S3 may be killed, and PostgreSQL stopped, at any moment."""

from __future__ import annotations

from tests.support.clients import POSTGRES, needs
from tests.support.landing_kills import play

KILLS, STOPS = 5, 3


@needs(POSTGRES)
def test_no_kill_loses_halves_or_doubles_a_file_in_postgresql() -> None:
    fates = play(KILLS, STOPS, seed=1)
    assert fates["acknowledged"] > 0


@needs(POSTGRES)
def test_no_kill_and_no_failed_request_loses_a_file_in_s3_or_keeps_another() -> None:
    fates = play(KILLS, STOPS, seed=1, in_s3=True)
    assert fates["acknowledged"] > 0
    assert fates["objects"] > 0
