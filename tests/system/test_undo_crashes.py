"""Killed at any step of an undo, the next start finds it done, or does it: once."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mortal_server import UNDO_STEPS
from tests.support.server_process import ServerProcess

pytestmark = needs("sftp")

MANY = 3000


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a stopped server in which an import that created many and changed one is to be undone."""
    folder = tmp_path_factory.mktemp("asked")
    with ServerProcess(folder) as running:
        running.add_tenant("acme")
        for names, job in ((("ann",), "Baker"), (("ann", *(f"p{number}" for number in range(MANY))), "Boss")):
            running.put("acme", people(*names, job_title=job))
            assert running.wait("acme")["state"] == "completed"
        assert running.stop() == 0
        running.cli("import", "undo", "acme", "--no-wait")
    running.log.unlink()
    return folder


@pytest.mark.parametrize("step", UNDO_STEPS)
def test_killed_during_an_undo_it_is_done_exactly_once(asked: Path, tmp_path: Path, step: str) -> None:
    server = ServerProcess(shutil.copytree(asked, tmp_path / "server"), entry="tests.support.mortal_server")
    try:
        server.start(HEADCOUNT_TEST_STEP=step)
        assert server.died() == -9
        server.start()
        assert server.reaches("acme", 2, "undone")
        assert server.result("acme", 2) == server.report("acme", 2)
        users = server.users("acme")
        assert [email for email, state in users.items() if state == "active"] == ["ann@example.com"]
        db = sqlite3.connect(f"file:{server.files('acme').users_db}?mode=ro", uri=True)
        undone = db.execute("SELECT field, sum(more + 1) FROM changes WHERE undo = 1 GROUP BY field ORDER BY field")
        assert undone.fetchall() == [("created", MANY), ("job_title", 1)]
        db.close()
    finally:
        server.end()
