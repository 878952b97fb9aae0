"""A server whose hooks cannot be imported: it starts, says so, and refuses their files."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support import ROOT
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

pytestmark = needs("sftp")

MODULE = """
from headcount import hook

@hook("/invoices/*.csv", name="invoices")
async def invoices(delivery):
    pass
"""


def put(server: ServerProcess, path: str, content: bytes) -> bool:
    local = server.folder / "local"
    local.write_bytes(content)
    return server.sftp("acme", f'put "{local}" {path}').returncode == 0


def test_a_module_that_cannot_be_imported_refuses_its_files_while_others_work(tmp_path: Path) -> None:
    module = tmp_path / "hooks_of_acme.py"
    module.write_text(MODULE)
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"}
    with ServerProcess(tmp_path, env={**env, "HEADCOUNT_HOOKS": "hooks_of_acme,hooks_of_nobody"}) as server:
        server.add_tenant("acme")
        assert put(server, "/invoices/a.csv", b"old")
        assert server.stop() == 0

        module.write_text("1 / 0")
        server.start()
        refused = [line for line in server.lines() if line["event"] == "hooks_unusable"]
        assert [line["package"] for line in refused] == ["hooks_of_acme", "hooks_of_nobody"]
        assert "1 / 0" in refused[0]["traceback"]
        ready = server.get("/readyz")
        assert (ready.status_code, ready.json()["hooks_broken"]) == (200, 2)
        assert not put(server, "/invoices/a.csv", b"new")
        assert server.stored.visible("acme", "/invoices/a.csv") == b"old"
        assert put(server, "/notes.txt", b"new")
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"
        listed = server.command("hook", "list").stdout.splitlines()[2:]
        assert [line.split()[:3] for line in listed] == [
            ["invoices", "/invoices/*.csv", "hooks_of_acme"],
            ["hooks_of_nobody", "-", "hooks_of_nobody"],
        ]
        assert "ZeroDivisionError: division by zero" in listed[0]
        assert server.stop() == 0

        module.write_text(MODULE)
        server.start()
        assert put(server, "/invoices/a.csv", b"new")
        assert server.stored.visible("acme", "/invoices/a.csv") == b"new"
