"""A data folder that a server has used, in which the tests damage something."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.backups import saved
from tests.support.importing import people
from tests.support.server_process import ServerProcess

TWO = ("acme", "bolt")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server has used: acme has an applied import and a queued one."""
    server = ServerProcess(tmp_path_factory.mktemp("made"))
    with server:
        for name in TWO:
            server.add_tenant(name, deactivate_missing="true")
        server.put("acme", people("ann", "bob"))
        assert server.wait("acme")["state"] == "completed"
        server.cli("tenant", "set", "acme", f"paused_until={datetime.now(UTC).year + 1}-01-02T00:00:00Z")
        server.put("acme", people("ann", "bob", "cy"))
        assert server.stop() == 0
    return server.folder


@pytest.fixture
def server(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    """A server on a copy of that folder; it does not run."""
    monkeypatch.setattr("server.doctor.examining.AGAIN_S", 0.0)
    shutil.copytree(made / "data", tmp_path / "data", symlinks=True)
    for key in (*made.glob("*.key"), *made.glob("*.pub")):
        shutil.copy(key, tmp_path)
    server = ServerProcess(tmp_path)
    yield server
    server.end()


@pytest.fixture
def backup(server: ServerProcess, tmp_path: Path) -> Path:
    saved(server.data, tmp_path / "backup")
    return tmp_path / "backup"
