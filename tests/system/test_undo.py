"""Undo on the real server: started by the command line, done by the server, visible over SFTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = needs("sftp")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


def test_imports_are_undone_one_after_the_other(server: ServerProcess) -> None:
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
    # The end of an undo is counted after it is stored.
    two = 'headcount_users{state="active",tenant="acme"} 2.0'
    wait_until(lambda: two in server.get("/metrics").text, what="the users to be counted")
    assert "Undone by operator" in server.cli("import", "undo", "acme").text
    assert set(server.users("acme").values()) == {"deactivated"}
    success = 'headcount_import_last_success_timestamp_seconds{tenant="acme"}'
    wait_until(lambda: success not in server.get("/metrics").text, what="the success to be gone")
    nothing = server.cli("import", "undo", "acme", check=False)
    assert (nothing.code, nothing.err) == (1, "Error: there is no import to undo; see: headcount import list acme\n")


def test_an_undo_requested_without_a_server_runs_at_its_next_start(server: ServerProcess) -> None:
    server.add_tenant("globex")
    server.put("globex", people("ann"))
    server.wait("globex")
    assert server.stop() == 0
    asked = server.cli("import", "undo", "globex", "--no-wait", "--json")
    assert asked.json["state"] == "queued"
    server.start()
    assert server.cli("import", "wait", "globex", "1", "--json").json["state"] == "undone"


def test_commands_list_the_changes_of_imports_and_undos(server: ServerProcess) -> None:
    server.add_tenant("initech")
    for job in ("Baker", "Boss"):
        server.put("initech", people("ann", job_title=job))
        server.wait("initech")
    server.cli("import", "undo", "initech")
    line = "Ann Smith (ann@example.com): job_title: Baker -> Boss\n"
    undo = "Ann Smith (ann@example.com): job_title: Boss -> Baker (undo)\n"
    assert server.cli("import", "changes", "initech").text == line + undo
    changes = server.cli("import", "changes", "initech", "1", "--json").json
    assert [(each["field"], each["identifier"]) for each in changes] == [("created", "ann@example.com")]
    assert server.cli("import", "changes", "initech", "9", check=False).code == 1
    history = server.cli("users", "history", "initech", "ann@example.com", "--json").json
    assert [(each["import_id"], each["undo"], each["field"]) for each in history] == [
        (1, False, "created"),
        (2, False, "job_title"),
        (2, True, "job_title"),
    ]
    told = server.cli("users", "history", "initech", "ann@example.com").text.splitlines()
    assert told[1].endswith("  import 2  job_title: Baker -> Boss")
    assert server.cli("users", "history", "initech", "nobody@example.com", check=False).code == 1
