"""Undo on the real server: asked for by the command line, done by the server, seen over SFTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

pytestmark = needs("sftp")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


def test_one_import_after_the_other_is_undone(server: ServerProcess) -> None:
    server.add_tenant("acme", deactivate_missing="true")
    server.put("acme", people("ben", "ann"))
    server.wait("acme")
    server.put("acme", people("cleo", "ann"))
    assert server.wait("acme")["state"] == "completed"
    refused = server.cli("import", "undo", "acme", "1", check=False)
    assert (refused.code, "undo that one first" in refused.err) == (1, True)
    undone = server.cli("import", "undo", "acme", "--json")
    assert (undone.json["id"], undone.json["state"], undone.json["decided_by"]) == (2, "undone", "operator")
    assert server.users("acme") == {
        "ann@example.com": "active",
        "ben@example.com": "active",
        "cleo@example.com": "deactivated",
    }
    assert server.result("acme", 2) == undone.json
    assert 'headcount_users{state="active",tenant="acme"} 2.0' in server.get("/metrics").text
    assert "Undone by operator" in server.cli("import", "undo", "acme").text
    assert set(server.users("acme").values()) == {"deactivated"}
    assert 'headcount_import_last_success_timestamp_seconds{tenant="acme"}' not in server.get("/metrics").text
    nothing = server.cli("import", "undo", "acme", check=False)
    assert (nothing.code, nothing.err) == (1, "Error: there is no import that could be undone\n")


def test_an_undo_waits_for_the_next_start(server: ServerProcess) -> None:
    server.add_tenant("globex")
    server.put("globex", people("ann"))
    server.wait("globex")
    assert server.stop() == 0
    asked = server.cli("import", "undo", "globex", "--no-wait", "--json")
    assert asked.json["state"] == "queued"
    server.start()
    assert server.cli("import", "wait", "globex", "1", "--json").json["state"] == "undone"
