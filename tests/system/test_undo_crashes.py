"""A server killed at any step of an undo finishes it exactly once after the next start."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from importer.rules.identity import BY_ADDRESS
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mortal_server import UNDO_STEPS
from tests.support.server_process import ServerProcess, copied

pytestmark = needs("sftp")

MANY = 3000


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a stopped server. Queued: undo of an import that created many users and changed one."""
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


async def undone(server: ServerProcess) -> Counter[str]:
    """Return the number of users whose field was set back, by field."""
    async with server.stored.open() as tenants, tenants.users("acme").history(BY_ADDRESS) as history:
        changes = [change async for page in history.of_import(2) for change in page]
    return Counter(change["field"] for change in changes if change["undo"])


@pytest.mark.parametrize("step", UNDO_STEPS)
def test_a_server_killed_during_an_undo_finishes_it_exactly_once(asked: Path, tmp_path: Path, step: str) -> None:
    server = ServerProcess(copied(asked, tmp_path / "server"), entry="tests.support.mortal_server")
    try:
        server.start(HEADCOUNT_TEST_STEP=step)
        assert server.died() == -9
        server.start()
        assert server.reaches("acme", 2, "undone")
        assert server.result("acme", 2) == server.report("acme", 2)
        users = server.users("acme")
        assert [email for email, state in users.items() if state == "active"] == ["ann@example.com"]
        assert asyncio.run(undone(server)) == {"created": MANY, "job_title": 1}
    finally:
        server.end()
