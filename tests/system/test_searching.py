"""Search for users beside the real server, which indexes what its imports changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from importer.users.search import FEW
from tests.support import ROOT
from tests.support.clients import needs
from tests.support.importing import sheet
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.only_on("sqlite", "it is about files of older schemas"), needs("sftp")]

# Only an index ignores accents.
ZOE = sheet(("Zoë", "Åström", "z@example.com"), *((f"Ann{n}", "Ash", f"a{n}@example.com") for n in range(FEW)))
OLD = ROOT / "tests" / "fixtures" / "databases" / "tenant-001.sql"
"""Users of a company as the first version of Headcount stored them, without what an index needs."""


def test_imported_users_are_found_by_index_also_after_an_upgrade(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", ZOE)
        server.wait("acme")

        def found() -> bool:
            users = server.cli("users", "list", "acme", "--search", "zoe astrom", "--json").json
            return [user["first_name"] for user in users] == ["Zoë"]

        wait_until(found)
        server.stop()
        folder = server.files("acme")
        folder.search_db.unlink()
        folder.users_db.unlink()
        with closing(sqlite3.connect(folder.users_db)) as db:
            db.executescript(OLD.read_text(encoding="utf-8"))
            db.execute("UPDATE users SET first_name = 'Zoë', last_name = 'Åström' WHERE id = 1")
            others = [(f"Ann{number}", "Ash") for number in range(FEW)]
            db.executemany("INSERT INTO users (first_name, last_name) VALUES (?, ?)", others)
            db.commit()
        assert not found()
        server.start()
        wait_until(found)
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
