"""The findings about a database, from its facts."""

from __future__ import annotations

import shlex

from engine.examined import OpenTransaction, ServerFacts
from server.doctor.database import judge_server

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
