"""Tests read an engine's data through its protocols; those that open its files are listed with the reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import ROOT

DRIVERS = {"aiosqlite", "sqlite3"}
WHY = {
    "integration/backup/test_full_data_disk.py": "the log of a killed server is left, and written to beside a backup",
    "integration/backup/test_moments.py": "locks of another process, and how long a backup holds one",
    "integration/doctor/test_databases.py": "databases are damaged in each way that the doctor finds",
    "integration/doctor/test_entries.py": "the log of a killed server is left behind a link",
    "integration/files/local/test_landing_at_once.py": "a statement fails as SQLite lets it fail",
    "integration/files/local/test_steps.py": "a commit fails as SQLite lets it fail, and its log is read after that",
    "integration/postgres/test_moved_tables.py": "the tables of both engines are listed",
    "integration/postgres/test_schema.py": "the tables of both engines are compared",
    "integration/queue/test_ledger.py": "it is about one connection, and the transactions in it",
    "integration/queue/test_queue.py": "a lock of another process, rules of the table, and query plans",
    "integration/queue/test_wal.py": "it is about the log of a database, and what a disk may lose of it",
    "integration/sftp/test_reading_in_turns.py": "it is about the driver itself, which we look into",
    "integration/tenants/test_soundness.py": "pages of a file are damaged, and what SQLite says of them is told",
    "integration/tenants/test_tenants.py": "the exclusive lock of a process that tidies up",
    "integration/test_apart.py": "it is about the connection of an import that runs apart",
    "integration/test_opening.py": "a database of another journal mode is locked while it is opened",
    "integration/test_versions.py": "files of older schemas are made, and their schema is read",
    "integration/upkeep/test_indexing.py": "how far the index has followed the log is in the file of the index alone",
    "integration/upkeep/test_overview.py": "query plans",
    "integration/users/test_following.py": "users are changed by hand, and two tables are compared",
    "integration/users/test_query_plans.py": "query plans",
    "integration/web/test_api_users.py": "a checkpoint is asked for, which a reader could hold up",
    "integration/worker/test_advising.py": "a fault is raised as the driver raises it",
    "soak/world.py": "a simulated year compares each day, beside a server that runs",
    "support/backups.py": "two data folders are compared, and whether the databases of one fit together",
    "support/crashing.py": "statements are counted, and the process is killed before one",
    "support/embedded.py": "it is all that tests see of this engine beside a server",
    "support/fill_databases.py": "what older versions wrote is kept as text",
    "support/histories.py": "users are changed by hand, and rules of the tables may refuse it",
    "support/importing.py": "an empty users.db is made in no time, and changed by hand",
    "support/moving.py": "what a move has to keep is written and read without the code that moves it",
    "support/writing.py": "locks of another process, and changes by hand: what other tests use",
    "system/test_searching.py": "a file of the first schema is made",
    "system/test_upgrades.py": "files of older schemas are made, and compared with their copies",
    "unit/moving/test_users.py": "what is moved into a file is read without the code that moves it",
}
"""By the path below tests/. (The list only gets shorter.)"""


def imported_by(file: Path) -> set[str]:
    """Return the drivers that are imported anywhere in the file. One that names none is not parsed, which is slow."""
    found: set[str] = set()
    text = file.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if any(driver in text for driver in DRIVERS) else ():
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found & DRIVERS


FILES = {str(file.relative_to(ROOT / "tests")): file for file in sorted((ROOT / "tests").rglob("*.py"))}


def test_only_these_tests_know_the_driver_of_an_engine() -> None:
    assert {name for name, file in FILES.items() if imported_by(file)} == WHY.keys()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("contract/")])
def test_the_contract_suite_knows_no_engine(name: str) -> None:
    assert not imported_by(FILES[name])
    assert "engine.sqlite" not in FILES[name].read_text(encoding="utf-8")
