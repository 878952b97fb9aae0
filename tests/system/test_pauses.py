"""A pause of a feed on the real server: uploads land and wait, over a crash, and run by themselves at its end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ground.moments import rfc3339, utc_now
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until


def paused(server: ServerProcess, **until: float) -> None:
    """Pause acme until this long from now."""
    end = rfc3339(utc_now() + timedelta(**until))
    server.cli("tenant", "set", "acme", f"paused_until={end}", "paused_because=Migration of the HR system")


def says(server: ServerProcess, number: int) -> str:
    return str(server.report("acme", number)["message"])


@needs("sftp")
def test_paused_files_wait_over_a_crash_and_run_by_themselves_at_the_end(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", people("ann"))
        assert server.reaches("acme", 1, "completed")
        paused(server, days=1)
        server.put("acme", people("ann", "bob"))
        server.put("acme", people("ann", "bob", "cy"))
        wait_until(lambda: says(server, 3).endswith("UTC: Migration of the HR system"), what="import 3 to say why")
        server.put("acme", people("dora"), "/test/sync_users.csv")
        assert server.reaches("acme", 4, "completed")
        server.kill()
        server.start()
        assert server.cli("import", "undo", "acme", "1").code == 0
        assert server.state("acme", 1) == "undone"
        assert [server.state("acme", number) for number in (2, 3)] == ["queued", "queued"]
        assert server.users("acme") == {"ann@example.com": "deactivated"}
        waited = server.cli("import", "wait", "acme", "3", "--timeout", "0.2", check=False)
        assert waited.code == 1
        assert "import 3 is still queued after 0.2 seconds. Paused until 2" in waited.err
        paused(server, seconds=2)
        assert server.reaches("acme", 3, "completed")
        assert server.state("acme", 2) == "completed"
        assert says(server, 2) == "None"


@needs("sftp")
def test_a_pause_ends_when_it_is_reset_and_the_command_line_shows_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        paused(server, days=1)
        server.put("acme", people("ann"))
        wait_until(lambda: "Paused until" in server.cli("import", "list", "acme").text, what="the list to say it")
        shown = server.cli("tenant", "show", "acme").text
        assert "The feed is paused until 2" in shown
        assert "UTC: Migration of the HR system" in shown
        (note,) = server.cli("tenant", "show", "acme", "--json").json["notes"]
        assert note in shown
        server.cli("tenant", "set", "acme", "paused_until=")
        assert server.reaches("acme", 1, "completed")
        assert "paused until" not in server.cli("tenant", "show", "acme").text
