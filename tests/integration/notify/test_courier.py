"""The outbox is sent: each message is retried with the same id, and no tenant waits for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import pytest

from ground.moments import utc_now
from ground.waits import Growing
from importer.model import ImportState, Outcome
from importer.queue.notices import Channel, Notice
from importer.worker.closing import Closing
from server.notify import courier as courier_module
from server.notify.courier import Courier
from server.notify.herald import TenantHerald
from server.notify.mail import Mailer, MailServer
from server.notify.outbox import Outbox
from server.notify.retries import Retries
from server.notify.webhooks import Webhooks
from server.signing import SecretFiles
from server.tenants.settings import TenantSettings
from server.upkeep.metrics import Metrics
from tests.support.installation import installation
from tests.support.mailserver import MailHost
from tests.support.queues import GUARD, House, enqueue, open_house, outcome
from tests.support.waiting import DEADLINE_S, eventually
from tests.support.webhost import WebHost

QUICK = Retries(Growing(0.02, 0.05), tries=200)


class Desk:
    """A courier for the outbox of a house; `settings` are those of the tenants."""

    def __init__(self, house: House, retries: Retries = QUICK) -> None:
        self.house = house
        self.outbox = Outbox(house.store.outbox(), retries=retries)
        self.settings: dict[str, TenantSettings] = {}
        self.off = False
        self.leads = True
        self.looks = 0
        self.metrics = Metrics()
        self.herald = TenantHerald(house.folder, self.settings_of, archive=house.archive)
        self.closing = Closing(
            *(house.queue, house.folder, house.watching),
            herald=self.herald,
            archive=house.archive,
            results=house.results,
        )

    async def settings_of(self, tenant: str) -> TenantSettings:
        return self.settings[tenant]

    async def is_off(self) -> bool:
        self.looks += 1
        return self.off

    @asynccontextmanager
    async def courier(self, mail: MailHost | None = None, *, timeout_s: float = DEADLINE_S) -> AsyncIterator[None]:
        mailer = None
        if mail:
            server = MailServer.from_url(f"smtp://127.0.0.1:{mail.port}")
            mailer = Mailer(server, "headcount@example.com", timeout_s=timeout_s)
        webhooks = Webhooks(allow_private=True, timeout_s=timeout_s)
        away = Growing(0.02, 300.0)
        courier = Courier(
            self.outbox,
            self.settings_of,
            SecretFiles(self.house.folder),
            mailer,
            webhooks,
            self.metrics,
            away=away,
            is_off=self.is_off,
            leads=lambda: self.leads,
        )
        courier.start()
        try:
            yield
        finally:
            await courier.stop(5)

    async def tell(self, tenant: str, channel: Channel, topic: str = "import 1") -> None:
        content = '{"subject": "s", "text": "t"}' if channel is Channel.MAIL else '{"type": "import.completed"}'
        await self.outbox.put([Notice(tenant, channel, topic, content)])

    async def states(self, tenant: str = "acme") -> list[str]:
        return [message.state for message in reversed(await self.outbox.newest(tenant, 100))]

    async def all_are(self, state: str, tenant: str = "acme") -> None:
        async def they_are() -> bool:
            return set(await self.states(tenant)) == {state}

        await eventually(they_are, what=f"everything to be {state}")


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the database of the desk wait for no other writer."""
    installation(tmp_path).impatient(monkeypatch, 0.05)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_house(tmp_path, "acme", "initech") as house:
        desk = Desk(house)
        desk.settings = {name: TenantSettings(notify_email=(f"hr@{name}.example",)) for name in ("acme", "initech")}
        yield desk


async def end(desk: Desk, ended: Outcome) -> None:
    entry = await desk.house.queue.claim("acme", await enqueue(desk.house.queue))
    assert entry
    await desk.closing.finish(entry, ended)


def delivered(desk: Desk, channel: str, result: str) -> float:
    name = f'headcount_deliveries_total{{channel="{channel}",result="{result}"}} '
    lines = desk.metrics.render().decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0)


async def test_the_end_of_an_import_is_sent_by_mail_and_webhook(desk: Desk, tmp_path: Path) -> None:
    with MailHost(tmp_path) as mail, WebHost() as web:
        desk.settings["acme"] = TenantSettings(notify_email=("hr@acme.example",), notify_webhook=web.url)
        await end(desk, outcome(ImportState.COMPLETED, created=2))
        async with desk.courier(mail):
            await desk.all_are("sent")
    assert mail.mails[0]["Subject"] == "[Headcount] acme: import 1 was applied"
    assert mail.mails[0]["To"] == "hr@acme.example"
    (call,) = web.calls
    assert call.json["type"] == "import.completed"
    assert call.json["data"]["counts"]["created"] == 2
    assert delivered(desk, "mail", "sent") == delivered(desk, "webhook", "sent") == 1


async def test_only_the_server_that_leads_sends(desk: Desk, tmp_path: Path) -> None:
    desk.leads = False
    with MailHost(tmp_path) as mail, WebHost() as web:
        desk.settings["acme"] = TenantSettings(notify_email=("hr@acme.example",), notify_webhook=web.url)
        await end(desk, outcome(ImportState.COMPLETED, created=2))
        async with desk.courier(mail):
            await asyncio.sleep(2 * courier_module.LOOK_S)
            assert await desk.states() == ["waiting", "waiting"]
            desk.leads = True
            await desk.all_are("sent")
    assert (len(mail.mails), len(web.calls)) == (1, 1)


async def test_no_further_message_is_sent_once_sending_is_off(desk: Desk, tmp_path: Path) -> None:
    def turn_off(_: object) -> None:
        desk.off = True

    with MailHost(tmp_path) as mail, WebHost() as web:
        mail.answer = turn_off
        for tenant in ("acme", "initech"):
            desk.settings[tenant] = TenantSettings(notify_email=("hr@acme.example",), notify_webhook=web.url)
            await desk.tell(tenant, Channel.MAIL)
        async with desk.courier(mail):
            await desk.all_are("sent")
            await desk.tell("acme", Channel.WEBHOOK, "import 2")
            seen = desk.looks
            await eventually(lambda: desk.looks > seen + 6, what="some looks at whether sending is off")
            assert (len(mail.mails), web.calls) == (1, [])
            assert await desk.states("initech") == ["waiting"]
            mail.answer, desk.off = lambda _: None, False
            await desk.all_are("sent")
            await desk.all_are("sent", "initech")


@pytest.mark.parametrize(
    ("state", "dry_run", "told"),
    [
        (ImportState.COMPLETED_WITH_ERRORS, False, 1),
        (ImportState.FAILED, False, 1),
        (ImportState.HELD, False, 1),
        (ImportState.UNCHANGED, False, 0),
        (ImportState.FAILED, True, 0),
        (ImportState.HELD, True, 0),
    ],
)
async def test_only_some_states_of_real_imports_send_a_mail(
    desk: Desk, state: ImportState, dry_run: bool, told: int
) -> None:
    entry = await desk.house.queue.claim("acme", await enqueue(desk.house.queue, dry_run=dry_run))
    assert entry
    await desk.closing.finish(entry, outcome(state))
    assert len(await desk.states()) == told


async def test_the_mail_of_a_held_import_names_those_on_its_list(desk: Desk) -> None:
    lines = [
        f'{{"action": "{action}", "identifier": "p{number}@x.example", "email": null, "name": "P {number}"}}\n'
        for number in range(30)
        for action in ("updated", "deactivated")
    ]
    desk.house.stored.keep("acme", "messages/1.touched.jsonl", "".join(lines).encode())
    await end(desk, replace(outcome(ImportState.HELD), guard=replace(GUARD, would_deactivate=30)))
    (message,) = await desk.outbox.newest("acme", 10)
    assert message.content["text"].count("@x.example") == 20
    assert "It would deactivate 30 users. The first 20" in message.content["text"]


async def test_a_tenant_without_notification_settings_gets_none(desk: Desk) -> None:
    desk.settings["acme"] = TenantSettings()
    await end(desk, outcome(ImportState.FAILED))
    assert await desk.states() == []


@pytest.mark.logs("settings_unreadable")
async def test_unreadable_settings_lose_no_notification(desk: Desk, tmp_path: Path) -> None:
    kept = desk.settings.pop("acme")
    await end(desk, outcome(ImportState.FAILED))
    assert await desk.states() == ["waiting", "waiting"]
    with MailHost(tmp_path) as mail:
        async with desk.courier(mail):
            await eventually(lambda: _tried(desk))
            desk.settings["acme"] = kept
            await eventually(lambda: mail.mails)

            async def over() -> bool:
                return await desk.states() == ["sent", "dropped"]

            await eventually(over)


async def _tried(desk: Desk) -> bool:
    return all(message.attempts for message in await desk.outbox.newest("acme", 10))


async def test_a_stale_feed_is_notified_once_after_each_applied_import(desk: Desk) -> None:
    for last in ("2026-03-01", "2026-03-01", "2026-04-01", None, None):
        await desk.outbox.put(await desk.herald.stale_notices("acme", 3, last))
    assert len(await desk.states()) == 3


@pytest.mark.logs("mail_server_away", "notification_failed")
async def test_a_mail_server_that_works_again_gets_each_mail_once(desk: Desk, tmp_path: Path) -> None:
    with MailHost(tmp_path) as mail:
        mail.go_away()
        for number in range(5):
            await desk.tell("acme", Channel.MAIL, f"import {number}")
        async with desk.courier(mail):
            await eventually(lambda: delivered(desk, "mail", "failed") >= 3)
            mail.come_back()
            await desk.all_are("sent")
    assert len(set(mail.ids)) == len(mail.mails) == 5


async def test_a_refused_mail_is_tried_again_with_the_same_message_id(desk: Desk, tmp_path: Path) -> None:
    seen: list[str] = []
    with MailHost(tmp_path) as mail:

        def answer(message: Any) -> str | None:
            seen.append(message["Message-ID"])
            return "451 later" if len(seen) < 3 else None

        mail.answer = answer
        await desk.tell("acme", Channel.MAIL)
        async with desk.courier(mail):
            await desk.all_are("sent")
    assert len(seen) == 3
    assert len(set(seen)) == 1


@pytest.mark.logs("notification_given_up", "notified")
async def test_a_mail_refused_for_good_is_given_up_and_blocks_no_other(desk: Desk, tmp_path: Path) -> None:
    with MailHost(tmp_path) as mail:
        mail.refuses["hr@acme.example"] = "550 no such user"
        for tenant in ("acme", "initech"):
            await desk.tell(tenant, Channel.MAIL)
        async with desk.courier(mail):
            await desk.all_are("given_up")
            await desk.all_are("sent", "initech")
    (message,) = await desk.outbox.newest("acme", 1)
    assert message.error == "the mail server refused the mail (550)"


async def test_the_attempts_of_a_message_end(tmp_path: Path) -> None:
    with WebHost(lambda call: 500) as web:
        async with open_house(tmp_path, "acme") as house:
            desk = Desk(house, Retries(Growing(0.01, 0.01), tries=4))
            desk.settings["acme"] = TenantSettings(notify_webhook=web.url)
            await desk.tell("acme", Channel.WEBHOOK)
            async with desk.courier():
                await desk.all_are("given_up")
    assert len(web.calls) == 4
    assert len({call.headers["webhook-id"] for call in web.calls}) == 1


async def test_a_webhook_arrives_when_its_receiver_works_again(desk: Desk) -> None:
    with WebHost() as web:
        web.answer = lambda call: 503 if len(web.calls) < 3 else 200
        desk.settings["acme"] = TenantSettings(notify_webhook=web.url)
        await desk.tell("acme", Channel.WEBHOOK)
        async with desk.courier():
            await desk.all_are("sent")
    assert len({call.headers["webhook-id"] for call in web.calls}) == 1


async def test_a_receiver_that_hangs_delays_no_other_tenant(desk: Desk) -> None:
    with WebHost(lambda call: 0) as hanging, WebHost() as web:
        desk.settings = {
            "acme": TenantSettings(notify_webhook=hanging.url),
            "initech": TenantSettings(notify_webhook=web.url),
        }
        for tenant in ("acme", "initech"):
            await desk.tell(tenant, Channel.WEBHOOK)
        async with desk.courier(timeout_s=1.5):
            await eventually(lambda: hanging.calls)
            await desk.all_are("sent", "initech")
            assert await desk.states("acme") == ["waiting"]


async def test_other_tenants_have_their_turn_however_many_receivers_hang(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "AT_ONCE", 1)
    monkeypatch.setattr(courier_module, "LOOK_S", 0.02)
    before: list[int] = []
    with WebHost(lambda call: 0) as hanging, WebHost() as web:

        def answer(call: object) -> int:
            before.append(len(hanging.calls))
            return 204

        web.answer = answer
        desk.settings = {
            "acme": TenantSettings(notify_webhook=hanging.url),
            "initech": TenantSettings(notify_webhook=web.url),
        }
        for number in range(20):
            await desk.tell("acme", Channel.WEBHOOK, f"import {number}")
        await desk.tell("initech", Channel.WEBHOOK)
        async with desk.courier(timeout_s=0.5):
            await desk.all_are("sent", "initech")
    assert before[0] <= 2


async def test_an_address_that_was_removed_gets_no_more_mail(desk: Desk, tmp_path: Path) -> None:
    await desk.tell("acme", Channel.MAIL)
    desk.settings["acme"] = TenantSettings()
    with MailHost(tmp_path) as mail:
        async with desk.courier(mail):
            await desk.all_are("dropped")
    assert mail.mails == []


@pytest.mark.logs("courier_fault")
async def test_a_tenant_with_broken_settings_blocks_no_other(desk: Desk, tmp_path: Path) -> None:
    del desk.settings["acme"]
    with MailHost(tmp_path) as mail:
        for tenant in ("acme", "initech"):
            await desk.tell(tenant, Channel.MAIL)
        async with desk.courier(mail):
            await desk.all_are("sent", "initech")


@pytest.mark.logs("outbox_waits")
async def test_an_outbox_that_cannot_be_written_now_sends_its_mail_later(
    impatient: None, desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def is_sent() -> bool:
        return await desk.states() == ["sent"]

    await desk.tell("acme", Channel.MAIL)
    with MailHost(tmp_path) as mail, ExitStack() as held:
        held.enter_context(desk.house.stored.writing("outbox"))
        async with desk.courier(mail):
            await eventually(lambda: "outbox_waits" in [vars(each).get("event") for each in caplog.records])
            assert mail.mails == []
            held.close()
            await eventually(is_sent)
        assert len(mail.mails) == 1


async def test_without_a_mail_server_mails_wait_and_end_after_a_week(desk: Desk) -> None:
    now = utc_now()
    outbox = Outbox(desk.house.store.outbox(), clock=lambda: now)
    await desk.tell("acme", Channel.MAIL)
    async with desk.courier():
        assert await desk.states() == ["waiting"]
    for _ in range(6):
        await outbox.prune(86400)
    assert await desk.states() == ["waiting"]
    await outbox.prune(86400)
    assert await desk.states() == ["given_up"]
    now += timedelta(days=31)
    await outbox.prune(0)
    assert await desk.states() == []


async def test_no_step_of_the_clock_gives_up_a_mail(desk: Desk) -> None:
    await desk.tell("acme", Channel.MAIL)
    for step in (timedelta(days=8), timedelta(days=-8)):
        outbox = Outbox(desk.house.store.outbox(), clock=partial(add, utc_now(), step))
        await outbox.prune(3600)
        assert await desk.states() == ["waiting"]


async def test_a_courier_counts_how_long_it_ran(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_module, "PRUNE_S", 0.01)

    async def waited() -> bool:
        for never_sent_s, state in ((60, "waiting"), (0.001, "given_up")):
            # It ends so late that the courier, which prunes all the time, does not delete it.
            await desk.house.store.outbox().prune(0, never_sent_s=never_sent_s, now="9999", before="2026")
            if await desk.states() != [state]:
                return False
        return True

    await desk.tell("acme", Channel.MAIL)
    async with desk.courier():
        await eventually(waited)


@pytest.mark.parametrize("step", [timedelta(days=-7), timedelta(days=7)])
async def test_a_message_that_waits_is_tried_again_when_the_clock_steps(desk: Desk, step: timedelta) -> None:
    now = utc_now()
    outbox = Outbox(desk.house.store.outbox(), clock=lambda: now)
    await desk.tell("acme", Channel.MAIL)
    for _ in range(9):
        (message,) = await desk.outbox.newest("acme", 1)
        await outbox.begin(message)
    assert await outbox.due(Channel.MAIL) == []
    now += step
    assert [each.topic for each in await outbox.due(Channel.MAIL)] == ["import 1"]


async def test_a_stop_waits_for_a_webhook_in_progress_but_not_for_ever(desk: Desk) -> None:
    with WebHost(lambda call: 0) as hanging:
        desk.settings["acme"] = TenantSettings(notify_webhook=hanging.url)
        await desk.tell("acme", Channel.WEBHOOK)
        webhooks = Webhooks(allow_private=True)
        courier = Courier(desk.outbox, desk.settings_of, SecretFiles(desk.house.folder), None, webhooks, desk.metrics)
        courier.start()
        await eventually(lambda: hanging.calls)
        async with asyncio.timeout(DEADLINE_S):
            await courier.stop(0.05)
    assert await desk.states() == ["waiting"]


async def test_logs_have_no_email_addresses(desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with MailHost(tmp_path) as mail:
        mail.refuses["hr@acme.example"] = "550 hr@acme.example is unknown"
        for tenant in ("acme", "initech"):
            await desk.tell(tenant, Channel.MAIL)
        async with desk.courier(mail):
            await desk.all_are("given_up")
            await desk.all_are("sent", "initech")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("server.notify")]
    assert len(told) == 2
    assert not [line for line in told if "@" in line]
