"""The hook, on a real server."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from headcount_invoices import invoices

from headcount import Message
from headcount.testing import running

MARCH = b"number,customer,amount\n17,Ada,12.50\n18,Grace,99\n"


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the hook a database of this test."""
    monkeypatch.setenv("INVOICES_DATABASE", str(tmp_path / "invoices.db"))
    return tmp_path / "invoices.db"


def stored(database: Path) -> list[tuple[str, ...]]:
    """Return the table."""
    with closing(sqlite3.connect(database)) as found:
        return found.execute("SELECT * FROM invoices ORDER BY tenant, number").fetchall()


def test_invoices_are_stored(database: Path) -> None:
    with running(hooks=[invoices]) as server:
        run = server.put("acme", "/invoices/march.csv", MARCH)
    assert (run.state, run.message) == ("completed", "Stored 2 of 2 invoices.")
    assert stored(database) == [("acme", "17", "Ada", "12.50", "EUR"), ("acme", "18", "Grace", "99", "EUR")]


def test_a_file_that_comes_twice_is_stored_once(database: Path) -> None:
    with running(hooks=[invoices]) as server:
        runs = [server.put("acme", "/invoices/march.csv", MARCH) for _ in range(2)]
    assert [run.state for run in runs] == ["completed", "completed"]
    assert len(stored(database)) == 2


def test_each_tenant_has_its_own_invoices_and_currency(database: Path) -> None:
    with running(hooks=[invoices]) as server:
        server.configure("globex", "invoices", currency="USD")
        for tenant in ("acme", "globex"):
            server.put(tenant, "/invoices/march.csv", b"number,customer,amount\n17,Ada,12.50\n")
    assert stored(database) == [("acme", "17", "Ada", "12.50", "EUR"), ("globex", "17", "Ada", "12.50", "USD")]


def test_a_bad_row_is_reported_and_the_others_are_stored(database: Path) -> None:
    with running(hooks=[invoices]) as server:
        run = server.put("acme", "/invoices/march.csv", MARCH + b"19,Alan,much\n")
    reason = "“much” is not an amount. Write 12.50."
    assert run.state == "completed_with_errors"
    assert run.counts == {"stored": 2, "rejected": 1}
    assert run.messages == [Message("error", reason, "bad_amount", line=4, column="amount")]
    assert run.reports == {"rejected.csv": b"number,customer,amount\r\n19,Alan,much\r\n"}
    assert len(stored(database)) == 2


def test_a_file_without_a_column_stores_nothing() -> None:
    with running(hooks=[invoices]) as server:
        run = server.put("acme", "/invoices/march.csv", b"number,customer\n17,Ada\n")
    assert [each.code for each in run.messages] == ["missing_column"]
    assert run.counts == {"stored": 0, "rejected": 0}


def test_a_busy_table_is_tried_five_times(database: Path) -> None:
    with running(hooks=[invoices]) as server, closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run = server.put("acme", "/invoices/march.csv", MARCH)
    assert (run.state, run.attempt, run.message) == ("failed", 5, "The table of invoices is busy.")
