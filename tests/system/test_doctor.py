"""The doctor beside a running server: uploads, imports, tests of files, settings, and tenants that come and go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.support.doctoring import is_well
from tests.support.importing import people
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder to examine")

NAMES = ("acme", "bolt", "core")
PAUSE_S = 0.2
"""How long each client and the operator rest between two rounds."""


def test_a_server_under_load_is_found_well(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for name in NAMES:
            server.add_tenant(name, deactivate_missing="true", max_deactivations_percent="100")
        ended = Event()

        def load(name: str) -> int:
            rounds = 0
            while not ended.wait(PAUSE_S) or not rounds:
                rounds += 1
                server.put(name, people("ann", f"p{rounds}"))
                server.put(name, people("ann", f"p{rounds}"), "/test/sync_users.csv")
            return rounds

        def operate() -> int:
            rounds = 0
            while not ended.wait(PAUSE_S) or not rounds:
                rounds += 1
                for arguments in (
                    ("tenant", "add", f"new{rounds}"),
                    ("tenant", "set", "acme", f"retention_days={90 + rounds % 2}"),
                    ("tenant", "remove", f"new{rounds}", "--yes"),
                ):
                    done = server.command(*arguments)
                    assert done.returncode == 0, done.stderr
            return rounds

        with ThreadPoolExecutor(len(NAMES) + 1) as threads:
            loads = [threads.submit(operate), *(threads.submit(load, name) for name in NAMES)]
            try:
                found = [server.command("doctor") for _ in range(5)]
            finally:
                ended.set()
            assert all(each.result() for each in loads)
        assert [(each.returncode, each.stdout, each.stderr) for each in found] == [
            (0, f"Found well: {server.data}\n", "")
        ] * 5


def test_a_killed_server_leaves_a_folder_that_is_well_after_the_next_start(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", people("ann"))
        server.put("acme", people("ann", "bob"))
        server.kill()
        server.start()
        server.wait("acme")
        assert is_well(server)
