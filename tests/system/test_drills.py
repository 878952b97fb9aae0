"""A restored drill works like its source, and sends nothing until the operator turns sending on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from ground.moments import rfc3339, utc_now
from tests.support.backups import rows, server_of
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until
from tests.support.webhost import WebHost
from tests.support.writing import by_hand

pytestmark = [pytest.mark.only_on("sqlite", "Headcount backs up no other engine"), needs("sftp")]

HR = "hr@customer.example"
LONG_AGO = "2026-01-01T00:00:00.000Z"


@dataclass
class World:
    """A stopped server that owes messages of every kind, its backup, and the hosts that would get them.

    The company acme has had two files. The company bolt has had none for long, so it is stale.
    """

    source: ServerProcess
    backup: Path
    mail: MailHost
    web: WebHost

    def drill(self, name: str = "drill", *options: str) -> ServerProcess:
        return server_of(self.backup, self.source.folder / name, self.source, *options)

    @property
    def mailed(self) -> set[tuple[str, str]]:
        return {(each["To"], each["Subject"].removeprefix("[Headcount] ")) for each in self.mail.mails}

    def received(self, number: int, *invited: str) -> None:
        """Wait until an import of acme and its invitations have been sent; nothing else was sent since `forget`."""
        wait_until(lambda: any(f"import {number} " in subject for _, subject in self.mailed), 60, "the mail to HR")
        wait_until(lambda: {to for to, _ in self.mailed} >= {*invited}, 90, "the invitations")
        wait_until(lambda: self.web.calls, 60, "the webhook")
        assert {to for to, _ in self.mailed} == {HR, *invited}
        assert len(self.mailed) == 1 + len(invited), self.mailed
        assert [call.json["data"]["id"] for call in self.web.calls] == [number]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with MailHost(tmp_path) as mail, WebHost(lambda _: 503) as web:
        env = {
            "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "HEADCOUNT_SMTP_FROM": "headcount@example.com",
            "HEADCOUNT_HTTP_PUBLIC_URL": "https://hr.example.com",
            "HEADCOUNT_WEBHOOK_ALLOW_PRIVATE": "true",
        }
        mail.answer = lambda _: "451 come back later"
        source = ServerProcess(tmp_path, env=env)
        told = {"notify_email": HR, "notify_digest": "weekly", "stale_after_days": "3"}
        source.add_tenant("acme", **told, notify_webhook=web.url, invitations="immediately")
        source.add_tenant("bolt", **told)
        with source:
            source.put("acme", people("ann"))
            assert source.wait("acme")["state"] == "completed"
            source.put("acme", people("ann", "bob"))
            assert source.wait("acme", 2)["state"] == "completed"
            assert source.stop() == 0
        by_hand(source.data / "headcount.db", f"UPDATE tenants SET created_at = '{LONG_AGO}'")
        (source.data / "digests").unlink(missing_ok=True)
        source.cli("backup", str(tmp_path / "backup"))
        mail.answer, web.answer = lambda _: None, lambda _: 204
        mail.mails.clear()
        web.calls.clear()
        mail.tries = 0
        yield World(source, tmp_path / "backup", mail, web)


def waiting(server: ServerProcess) -> list[tuple[str, str, str]]:
    """Return tenant, channel and topic of the messages that wait."""
    return [(row[1], row[2], row[3]) for row in rows(server.data / "headcount.db")["outbox"] if row[7] == "waiting"]


def has_looked(drill: ServerProcess) -> bool:
    """Return whether the server has looked for feeds that are stale, and found that of bolt."""
    return any(topic.startswith("stale") for tenant, _, topic in waiting(drill) if tenant == "bolt")


def test_a_drill_sends_nothing_until_sending_is_on_and_then_only_what_is_new(world: World) -> None:
    with world.drill("drill", "--drop-owed") as drill:
        wait_until(lambda: "sending_off" in drill.events(), 30, "the log to say that sending is off")
        wait_until(lambda: has_looked(drill), 60, "the stale feed to be found")
        drill.put("acme", people("ann", "bob", "cy"))
        assert drill.wait("acme", 3)["state"] == "completed"
        assert any(topic.startswith("import 3 completed") for _, _, topic in waiting(drill))
        refused = drill.cli("notify", "on", check=False)
        assert refused.code == 1
        assert (
            "2 mails, 1 webhook and 1 invitation wait. To drop them: headcount notify on --drop-owed." in refused.err
        )
        assert drill.stop() == 0
        drill.start()
        assert drill.cli("notify", "on", "--drop-owed").text == (
            "Turned sending on. Dropped: 2 mails, 1 webhook and 1 invitation\n"
        )
        assert (world.mail.tries, world.web.calls) == (0, [])
        assert drill.stop() == 0
        drill.start()
        wait_until(lambda: "feed_stale" in drill.events(), 30, "the stale feed to be seen again")
        assert "sending_off" not in drill.events()
        drill.put("acme", people("ann", "bob", "cy", "di"))
        world.received(4, "di@example.com")
        assert drill.stop() == 0
        world.received(4, "di@example.com")


def test_a_restored_server_that_drops_what_is_owed_sends_from_now_on_by_one_command(world: World) -> None:
    restored = world.drill("restored", "--drop-owed")
    shown = restored.cli("notify", "on").text
    assert shown == "Turned sending on. Dropped: 0 mails, 0 webhooks and 0 invitations\n"
    with restored:
        wait_until(lambda: "feed_stale" in restored.events(), 30, "the stale feed to be seen")
        restored.put("acme", people("ann", "bob", "cy"))
        world.received(3, "cy@example.com")
        assert restored.stop() == 0
        world.received(3, "cy@example.com")


def test_what_came_up_while_sending_was_off_can_be_sent(world: World) -> None:
    with world.drill("drill", "--drop-owed") as drill:
        wait_until(lambda: has_looked(drill), 60, "the stale feed to be found")
        drill.put("acme", people("ann", "bob", "cy"))
        assert drill.wait("acme", 3)["state"] == "completed"
        drill.cli("notify", "on", "--send-owed")
        wait_until(lambda: "cy@example.com" in {to for to, _ in world.mailed}, 90, "the invitation")
        wait_until(
            lambda: any("import 3 " in subject for _, subject in world.mailed), 60, "the mail about the import"
        )
        wait_until(lambda: any("bolt: no file" in subject for _, subject in world.mailed), 60, "the stale feed")
        assert not any("import 2 " in subject for _, subject in world.mailed)
        assert "ann@example.com" not in {to for to, _ in world.mailed}


def test_a_server_that_runs_is_silenced_by_a_command_and_sends_later(world: World) -> None:
    source = world.source
    source.cli("notify", "off")
    with source:
        source.put("acme", people("ann", "bob", "cy"))
        assert source.wait("acme", 3)["state"] == "completed"
        wait_until(lambda: has_looked(source), 60, "the stale feed to be found")
        assert (world.mail.tries, world.web.calls) == (0, [])
        source.cli("notify", "on", "--send-owed")
        wait_until(lambda: "cy@example.com" in {to for to, _ in world.mailed}, 90, "the invitation")
        wait_until(lambda: any("import 3 " in subject for _, subject in world.mailed), 60, "the import")


def test_a_drill_sends_the_sign_in_link_that_a_person_requests(world: World) -> None:
    world.source.cli("token", "create", "acme", "--role", "owner", "--email", HR)
    world.source.cli("backup", str(world.backup))
    with world.drill("drill", "--drop-owed") as drill:
        wait_until(lambda: has_looked(drill), 60, "the stale feed to be found")
        same = {"sec-fetch-site": "same-origin"}
        url = f"http://127.0.0.1:{drill.http_port}/sign-in/request-link"
        assert httpx.post(url, data={"email": HR}, headers=same, timeout=DEADLINE_S).status_code in {200, 303}
        wait_until(lambda: world.mail.mails, 60, "the link")
        assert world.mailed == {(HR, "your sign-in link")}


def test_a_drill_starts_undoes_and_imports_on(world: World) -> None:
    token = world.source.cli("token", "create", "acme", "--role", "owner").text.strip()
    world.source.cli("tenant", "set", "acme", f"paused_until={rfc3339(utc_now() + timedelta(days=1))}")
    with world.source as source:
        source.put("acme", people("ann", "bob", "cy"))
        source.cli("backup", str(world.backup))
        source.kill()
    with world.drill("drill", "--drop-owed") as drill:
        assert drill.users("acme") == {"ann@example.com": "active", "bob@example.com": "active"}
        assert drill.state("acme", 3) == "queued"
        drill.cli("import", "undo", "acme")
        assert drill.users("acme")["bob@example.com"] == "deactivated"
        users = drill.get("/api/v1/tenants/acme/users", Authorization=f"Bearer {token}")
        assert users.status_code == 200
        drill.cli("tenant", "set", "acme", "paused_until=")
        assert drill.reaches("acme", 3, "completed")
        drill.put("acme", people("ann", "bob", "cy", "di"))
        assert drill.wait("acme", 4)["state"] == "completed"
        assert drill.users("acme")["di@example.com"] == "active"
        assert drill.stop() == 0
