"""The findings about a database, from its facts."""

from __future__ import annotations

import shlex

import pytest

from engine.examined import OpenTransaction, ServerFacts
from importer.errors import DatabaseAway, DatabaseDamaged
from server.doctor.database import judge_server, judge_unread

NEWEST = {"server": 1}


def test_a_database_that_is_as_it_should_be_has_no_findings() -> None:
    settings = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "remote_write"}
    assert judge_server(ServerFacts(NEWEST, "UTF8", settings, -59.0, 20, 97), NEWEST, "the database") == []


def test_a_prepared_transaction_with_a_quote_in_its_name_is_ended_as_told() -> None:
    long = OpenTransaction(None, "it's $(one)", "ann", 7200.0)
    (finding,) = judge_server(ServerFacts(NEWEST, "UTF8", most=97, open=(long,)), NEWEST, "the database")
    assert finding.what.startswith("the prepared transaction “it's $(one)” of ann has been open for 2.0 hours")
    assert shlex.split(finding.do.partition("end it: ")[2])[-1] == "ROLLBACK PREPARED 'it''s $(one)'"


def test_a_clock_that_differs_by_more_than_a_minute_is_a_warning() -> None:
    for ahead_s, words in ((61.0, "61 seconds ahead of"), (-7200.0, "7,200 seconds behind")):
        (finding,) = judge_server(ServerFacts(NEWEST, "UTF8", {}, ahead_s, 0, 97), NEWEST, "the database")
        assert words in finding.what


def test_a_database_that_goes_away_ends_the_examination_and_damage_does_not() -> None:
    """A finding for each tenant would say the same a thousand times."""
    with pytest.raises(DatabaseAway):
        judge_unread(DatabaseAway("the server closed the connection"), "a part of the tenant", "the database", "acme")
    found = judge_unread(DatabaseDamaged("no chunk"), "a part of the tenant", "the database", "acme")
    assert found.what == "a part of the tenant cannot be read: no chunk"
