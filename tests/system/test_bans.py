"""Bans of the real process: across a kill and a restart, on the command line and in the metrics."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.support.clients import needs
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

BAD = "127.0.0.66"
LONG = {"HEADCOUNT_PENALTY_NO_LOGIN_S": "600"}
"""One connection without a login is banned for longer than a test lasts."""


def greeted(server: ServerProcess, source: str) -> bool:
    """Return whether a connection from `source` gets an answer, and is not closed at once."""
    with socket.create_connection(("127.0.0.1", server.sftp_port), source_address=(source, 0)) as connection:
        try:
            return connection.recv(4) == b"SSH-"
        except ConnectionError:
            return False


def get_banned(server: ServerProcess) -> None:
    """Connect once without a login, and once more in vain. A second connection before the ban would lengthen it."""
    assert greeted(server, BAD)
    wait_until(lambda: "source_banned" in server.events(), what="the ban")
    assert not greeted(server, BAD)


def metric(server: ServerProcess, name: str) -> float:
    lines = server.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@needs("sftp")
def test_a_ban_survives_a_kill_until_it_is_lifted(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env=LONG) as server:
        server.add_tenant("acme")
        assert server.cli("ban", "list", "--json").json == []
        get_banned(server)
        (ban,) = wait_until(lambda: server.cli("ban", "list", "--json").json, what="the ban to be listed")
        assert ban.keys() == {"source", "until", "reason"}
        assert ban["source"] == BAD
        assert metric(server, "headcount_bans_total") == 1
        assert metric(server, "headcount_banned_sources") == 1
        limited = 'headcount_sftp_logins_total{result="limited",tenant=""}'
        assert metric(server, limited) >= 1
        assert BAD in server.cli("ban", "list").text

        server.kill()
        server.start(HEADCOUNT_PENALTY_NO_LOGIN_S="0")
        assert server.cli("ban", "list", "--json").json == [ban]
        assert not greeted(server, BAD)
        server.put("acme", b"first_name,last_name,email\nAnn,Lee,ann@acme.example\n")

        assert server.cli("ban", "lift", BAD, "--json").json == ban
        wait_until(lambda: greeted(server, BAD), what="the ban to be lifted")
        assert server.cli("ban", "list", "--json").json == []
        assert metric(server, "headcount_banned_sources") == 0
        again = server.cli("ban", "lift", BAD, check=False)
        assert (again.code, again.err) == (1, f"Error: {BAD} is not banned; see: headcount ban list\n")
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
        assert [line["event"] for line in server.lines()].count("ban_lifted") == 1


def test_a_ban_is_written_when_the_server_stops(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env=LONG) as server:
        get_banned(server)
        assert server.stop() == 0
        assert [ban["source"] for ban in server.cli("ban", "list", "--json").json] == [BAD]
