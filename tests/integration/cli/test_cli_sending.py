"""`headcount notify on` and `off`: what waits is dropped or sent as the operator says, and never by accident."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ground.moments import utc_now
from importer.queue.notices import Channel, Notice
from server.notify.digest import week_before
from server.tenants.local.marks import FileMarks
from server.tenants.sending import MARK, Sending
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.importing import people
from tests.support.server_process import ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> ServerProcess:
    """A data folder without a server, with a company whose feed is stale."""
    server = ServerProcess(tmp_path, env={"HEADCOUNT_HTTP_PUBLIC_URL": "https://hr.example.com"})
    server.add_tenant("acme", notify_email="hr@example.com", stale_after_days="3", invitations="immediately")
    server.stored.date_tenants("2026-01-01T00:00:00.000Z")
    return server


def owe(server: ServerProcess) -> None:
    """Let a mail, a webhook and an invitation of acme wait."""

    async def put() -> None:
        notices = [Notice("acme", channel, f"t{number}", "{}") for number, channel in enumerate(Channel)]
        async with server.stored.open() as tenants:
            await tenants.store.outbox().put(notices, now="2026-01-01T00:00:00.000Z")

    asyncio.run(put())
    asyncio.run(server.stored.company("acme").run(people("ann"), invitations="immediately"))


def states(server: ServerProcess) -> dict[str, str]:
    """Return the states of the messages of acme, by topic."""
    return {
        each["topic"].partition(" #")[0]: each["state"]
        for each in server.cli("notify", "list", "acme", "--json").json
    }


def invitations(server: ServerProcess) -> int:
    return len(server.stored.invitations("acme"))


def test_sending_is_turned_off_once_and_its_time_stays(server: ServerProcess) -> None:
    shown = server.cli("notify", "off").text
    assert shown == "Turned sending off: no mail, webhook or invitation is sent. To turn it on: headcount notify on\n"
    assert server.stored.sending_is_off()
    again = server.cli("notify", "off", "--json").json
    assert again == server.cli("notify", "off", "--json").json == {"sending": "off", "since": again["since"]}
    if chosen_engine() == EMBEDDED:
        assert (server.data / MARK).stat().st_mode & 0o777 == 0o600


def test_sending_that_is_on_is_not_turned_on_again(server: ServerProcess) -> None:
    owe(server)
    ran = server.cli("notify", "on", "--drop-owed", check=False)
    assert (ran.code, "sending is on already" in ran.err) == (1, True)
    assert states(server) == {"t0": "waiting", "t1": "waiting"}


def test_sending_stays_off_until_the_operator_decides_about_what_waits(server: ServerProcess) -> None:
    owe(server)
    server.cli("notify", "off")
    ran = server.cli("notify", "on", check=False)
    assert ran.code == 1
    assert "1 mail, 1 webhook and 1 invitation wait. To drop them: headcount notify on --drop-owed." in ran.err
    assert "To send them: headcount notify on --send-owed" in ran.err
    assert server.cli("notify", "on", "--send-owed", "--drop-owed", check=False).code == 2
    assert server.stored.sending_is_off()
    assert (set(states(server).values()), invitations(server)) == ({"waiting"}, 1)


def test_what_waits_and_what_is_due_is_dropped_if_told(server: ServerProcess) -> None:
    owe(server)
    server.cli("notify", "off")
    ran = server.cli("notify", "on", "--drop-owed", "--json")
    owed = {"mails": 1, "webhooks": 1, "invitations": 1}
    assert ran.json == {"sending": "on", "owed": owed, "dropped": True}
    assert states(server) == {"t0": "dropped", "t1": "dropped", "stale since None": "dropped"}
    assert invitations(server) == 0
    assert server.stored.digests_written() == week_before(utc_now()).day
    assert not server.stored.sending_is_off()
    assert "No file of acme" not in ran.err


def test_what_waits_is_sent_if_told(server: ServerProcess) -> None:
    owe(server)
    server.cli("notify", "off")
    shown = server.cli("notify", "on", "--send-owed").text
    assert shown == "Turned sending on. Owed: 1 mail, 1 webhook and 1 invitation\n"
    assert (states(server), invitations(server)) == ({"t0": "waiting", "t1": "waiting"}, 1)
    assert server.stored.digests_written() is None


def test_an_import_that_writes_delays_the_drop_and_sending_stays_off(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.notify.owing.WAIT_S", 0.01)
    owe(server)
    server.cli("notify", "off")
    with server.stored.writing_users("acme"):
        ran = server.cli("notify", "on", "--drop-owed", check=False)
    assert ran.code == 1
    assert "An import of this tenant is running. Waiting for it to end" in ran.err
    assert server.stored.sending_is_off()
    server.cli("notify", "on", "--drop-owed")
    assert invitations(server) == 0


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
def test_a_broken_tenant_does_not_keep_sending_off(server: ServerProcess) -> None:
    server.add_tenant("bolt")
    server.files("bolt").users_db.write_bytes(b"not a database")
    server.cli("notify", "off")
    ran = server.cli("notify", "on", "--drop-owed")
    assert "the tenant bolt is broken: invitations that wait there are sent when it works" in ran.err
    assert not server.stored.sending_is_off()


@pytest.mark.parametrize("command", [("notify", "list", "acme"), ("notify", "test", "acme")])
def test_commands_of_notifications_warn_that_sending_is_off(server: ServerProcess, command: tuple[str, ...]) -> None:
    sentence = "the server sends no mail, webhook or invitation. To turn it on: headcount notify on"
    assert sentence not in server.cli(*command).warned
    server.cli("notify", "off")
    assert sentence in server.cli(*command).warned


@pytest.mark.only_on("sqlite", "a link is in the place of a file")
async def test_a_mark_that_cannot_be_read_keeps_sending_off(server: ServerProcess) -> None:
    (server.data / MARK).symlink_to("nowhere")
    sending = Sending(FileMarks(server.data))
    assert await sending.is_off()
    assert await sending.off_since() is None
    assert str(await sending.why_off()).startswith("sending is off: the server sends no mail")
    server.cli("notify", "on")
    assert not await sending.is_off()


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
@pytest.mark.parametrize("as_json", [True, False])
def test_damaged_users_are_told_as_all_else_and_without_a_traceback(server: ServerProcess, as_json: bool) -> None:
    server.cli("notify", "off")
    server.files("acme").users_db.write_bytes(b"not a database" * 100)
    ran = server.command("notify", "on", "--drop-owed", *(["--json"] if as_json else []))
    assert ran.returncode == 0
    if as_json:
        told = [json.loads(line) for line in ran.stderr.splitlines()]
        assert {each["code"]: each["severity"] for each in told}["users_uncounted"] == "error"
    else:
        assert "Error: The users of acme cannot be counted" in ran.stderr
        assert "Traceback" not in ran.stderr
