"""The doctor beside a running server: uploads, imports, tests of files, settings, and tenants that come and go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.support.doctoring import is_well
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder to examine")

NAMES = ("acme", "bolt", "core")
PAUSE_S = 0.2
"""How long each client and the operator rest between two rounds."""
TIMES = 5


def test_a_server_under_load_is_found_well(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for name in NAMES:
            server.add_tenant(name, deactivate_missing="true", max_deactivations_percent="100")
        ended, rounds = Event(), dict.fromkeys((*NAMES, "operator"), 0)

        def load(name: str) -> None:
            while not ended.is_set():
                rounds[name] += 1
                server.put(name, people("ann", f"p{rounds[name]}"))
                server.put(name, people("ann", f"p{rounds[name]}"), "/test/sync_users.csv")
                ended.wait(PAUSE_S)

        def operate() -> None:
            while not ended.is_set():
                rounds["operator"] += 1
                new = f"new{rounds['operator']}"
                for arguments in (
                    ("tenant", "add", new),
                    ("tenant", "set", "acme", f"retention_days={90 + rounds['operator'] % 2}"),
                    ("tenant", "remove", new, "--yes"),
                ):
                    done = server.command(*arguments)
                    assert done.returncode == 0, done.stderr
                ended.wait(PAUSE_S)

        with ThreadPoolExecutor(len(rounds)) as threads:
            loads = [threads.submit(operate), *(threads.submit(load, name) for name in NAMES)]
            try:
                found = []
                for number in range(TIMES):
                    found.append(server.command("doctor"))
                    wait_until(
                        lambda: min(rounds.values()) > number or any(each.done() for each in loads),  # noqa: B023
                        what="another round of each",
                    )
            finally:
                ended.set()
            for each in loads:
                each.result()
        assert [(each.returncode, each.stdout, each.stderr) for each in found] == [
            (0, f"Found well: {server.data}\n", "")
        ] * TIMES


def test_a_killed_server_leaves_a_folder_that_is_well_after_the_next_start(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", people("ann"))
        server.put("acme", people("ann", "bob"))
        server.kill()
        server.start()
        server.wait("acme")
        assert is_well(server)
