"""Employee numbers as identifier on the real server, from the first file on and in every command."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.clients import needs
from tests.support.importing import sheet
from tests.support.server_process import ServerProcess

pytestmark = needs("sftp")

HEADER = ("employee_id", "first_name", "last_name", "email", "manager")


def test_users_are_identified_by_their_number_in_every_command(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme", custom_fields=json.dumps([{"key": "employee_id"}]))
        first = sheet(
            ("7", "Ann", "S", "ann@e.com", ""),
            ("8", "Ben", "S", "ben@e.com", "ann@e.com"),
            ("8", "Cleo", "S", "cleo@e.com", ""),
            header=HEADER,
        )
        server.put("acme", first)
        server.wait("acme")
        refused = server.cli("tenant", "set", "acme", "identifier=employee_id", check=False)
        assert (refused.code, "Ben S (ben@e.com) and Cleo S (cleo@e.com) share 8" in refused.err) == (1, True)
        server.put("acme", first.replace(b"8,Cleo", b"9,Cleo"))
        server.wait("acme")
        server.cli("tenant", "set", "acme", "identifier=employee_id")
        server.put(
            "acme", sheet(("7", "Ann", "S", "ben@e.com", "9"), ("8", "Ben", "S", "ann@e.com", "7"), header=HEADER)
        )
        assert server.wait("acme")["counts"]["updated"] == 2
        ann = server.cli("users", "show", "acme", "7", "--json").json
        assert (ann["email"], ann["manager"]) == ("ben@e.com", "9")
        history = server.cli("users", "history", "acme", "7", "--json").json
        assert ("email", "ann@e.com", "ben@e.com") in [(each["field"], each["old"], each["new"]) for each in history]
        assert server.cli("users", "protect", "acme", "8", "--json").json["protected"] is True
        assert [row.split()[0] for row in server.cli("users", "list", "acme").text.splitlines()[1:]] == [
            "7",
            "8",
            "9",
        ]
        exported = server.cli("users", "export", "acme").out
        server.put("acme", exported)
        assert server.wait("acme")["state"] == "unchanged"
        server.cli("import", "undo", "acme")
        assert server.cli("users", "show", "acme", "7", "--json").json["email"] == "ann@e.com"
        assert server.stop() == 0
