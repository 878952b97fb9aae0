"""Invitations: written with the import, sent once over a real SMTP server when they are due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ground.waits import Growing
from importer.model import GuardReason, ImportState
from importer.requests import Approval
from server.notify import invitations as invitations_module
from server.notify.invitations import DueInvitations
from server.notify.inviter import Inviter
from server.notify.mail import Mailer, MailServer
from server.notify.retries import THREE_DAYS, Retries
from server.tenants.settings import TenantSettings
from server.upkeep.metrics import Metrics
from tests.support.importing import people, sheet
from tests.support.installation import company_in
from tests.support.mailserver import MailHost
from tests.support.queues import enqueue, open_house, run_to
from tests.support.waiting import DEADLINE_S, eventually

QUICK = Retries(Growing(0.02, 0.05), tries=200)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(milliseconds=10)


class Office:
    """A tenant `acme`, its imports, and an inviter that visits it at the time `now`."""

    def __init__(self, folder: Path, host: MailHost) -> None:
        self.host = host
        (folder / "acme").mkdir()
        self.company = company_in(folder / "acme")
        self.now = NOON
        self.settings: dict[str, Any] = {"invitations": "immediately"}
        self.metrics = Metrics()
        self.off = False

    async def run(self, content: bytes, **options: Any) -> int:
        """Import `content`; return the number of invitations it wrote."""
        mode = self.settings["invitations"]
        return (await self.company.run(content, invitations=mode, **options)).counts.invitations

    async def rows(self) -> list[Any]:
        return await self.company.sql(
            "SELECT u.email, i.state FROM invitations AS i JOIN users AS u ON u.id = i.user_id ORDER BY u.id"
        )

    def make_inviter(self, retries: Retries = QUICK, round_s: float = 0.05) -> Inviter:
        async def names() -> list[str]:
            return ["acme"]

        async def settings_of(tenant: str) -> TenantSettings:
            return TenantSettings(**self.settings)

        mailer = Mailer(MailServer.from_url(f"smtp://127.0.0.1:{self.host.port}"), "headcount@example.com")
        return Inviter(
            names,
            settings_of,
            lambda tenant: self.company.kept,
            mailer,
            self.metrics,
            clock=self.clock,
            retries=retries,
            round_s=round_s,
            away=Growing(0.04, 300.0),
            is_off=self.is_off,
        )

    @asynccontextmanager
    async def inviter(self, retries: Retries = QUICK) -> AsyncIterator[Inviter]:
        inviter = self.make_inviter(retries)
        inviter.start()
        try:
            yield inviter
        finally:
            await inviter.stop(DEADLINE_S)  # a mail that has arrived is noted

    async def is_off(self) -> bool:
        return self.off

    async def looked(self) -> None:
        """Send all invitations that are due now."""
        inviter = self.make_inviter()
        while await inviter._visit("acme"):
            pass
        await inviter.stop(5)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[DueInvitations]:
        """Yield the waiting invitations, with the retries of a server."""
        async with self.company.kept.invitations(10.0) as invitations:
            yield DueInvitations(invitations, self.clock, THREE_DAYS, on_hire_date=False)

    def clock(self) -> datetime:
        """Return `now`, a moment later at each call, so that retries fall due."""
        self.now += MOMENT
        return self.now

    def invited(self) -> list[str]:
        return [mail["To"] for mail in self.host.mails]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with MailHost(tmp_path) as host:
        yield Office(tmp_path, host)


async def sent(office: Office, count: int) -> None:
    """Send all invitations that are due now; assert that there are `count` mails so far."""
    await office.looked()
    assert len(office.host.mails) == count


@pytest.mark.parametrize("step", [timedelta(days=-7), timedelta(days=7)])
async def test_an_invitation_that_waits_is_tried_again_when_the_clock_steps(office: Office, step: timedelta) -> None:
    await office.run(people("ann"))
    async with office.waiting() as invitations:
        await invitations.begin(1)
        assert await invitations.due() == []
        office.now += step
        assert await invitations.due() == [1]


async def test_created_users_are_invited_once(office: Office) -> None:
    assert await office.run(people("ann", "bob")) == 2
    await sent(office, 2)
    assert office.invited() == ["ann@example.com", "bob@example.com"]
    assert office.host.mails[0]["Subject"] == "Welcome, Ann"
    assert await office.run(people("ann", "bob", "cid")) == 1
    await sent(office, 3)
    assert await office.rows() == [(f"{name}@example.com", "sent") for name in ("ann", "bob", "cid")]


@pytest.mark.logs("invitations_unsent")
async def test_invitations_that_cannot_be_read_now_are_sent_later(office: Office) -> None:
    await office.run(people("ann"))
    with office.company.without("invitations"):
        await sent(office, 0)
    await sent(office, 1)


async def test_no_further_user_is_invited_once_sending_is_off(office: Office) -> None:
    def turn_off(_: object) -> None:
        office.off = True

    office.host.answer = turn_off
    await office.run(people("ann", "bob"))
    await sent(office, 1)
    await sent(office, 1)
    assert [state for _, state in await office.rows()] == ["sent", "waiting"]
    assert 'headcount_outbox_length{channel="invitation"} 1.0' in office.metrics.render().decode()
    office.off, office.host.answer = False, lambda _: None
    await sent(office, 2)


async def test_invitations_are_sent_soon_after_sending_is_on(office: Office) -> None:
    await office.run(people("ann"))
    office.off = True
    inviter = office.make_inviter(round_s=3600)
    inviter.start()
    try:
        await eventually(lambda: inviter._was_off, what="a look at whether sending is off")
        office.off = False
        await eventually(lambda: office.invited() == ["ann@example.com"], what="the invitation")
    finally:
        await inviter.stop(5)


async def test_no_user_is_invited_while_invitations_are_off(office: Office) -> None:
    office.settings["invitations"] = "off"
    assert await office.run(people("ann")) == 0
    assert await office.rows() == []


async def test_a_held_or_rolled_back_import_invites_no_user(office: Office) -> None:
    company = office.company
    await company.run(people("ann"))
    many = people(*(f"p{number}" for number in range(3000)))
    held = await company.run(many, invitations="immediately", max_creations_percent=10)
    assert held.state is ImportState.HELD
    assert held.counts.invitations == 3000, "the expected result"
    tried = await company.run(many, invitations="immediately", dry_run=True)
    assert tried.counts.invitations == 3000
    failed = await company.run(many + b'"broken', invitations="immediately")
    assert failed.state is ImportState.FAILED
    assert await office.rows() == []
    await office.looked()
    assert office.host.tries == 0
    approval = Approval("ann", "2026", (GuardReason.TOO_MANY_CREATIONS,), frozenset())
    done = await company.run(many, invitations="immediately", max_creations_percent=10, approval=approval)
    assert done.counts.invitations == 3000
    assert len(await office.rows()) == 3000


async def test_a_user_deactivated_before_the_invitation_is_not_invited(office: Office) -> None:
    await office.run(people("ann", "bob"))
    await office.run(people("bob", deactivate="1"))
    await sent(office, 1)
    assert office.invited() == ["ann@example.com"]


async def test_a_returning_user_is_invited_only_if_never_invited_before(office: Office) -> None:
    await office.run(people("ann"))
    await sent(office, 1)
    office.settings["invitations"] = "off"
    await office.run(people("bob"))
    await office.run(people("ann", "bob", deactivate="1"), max_deactivations_percent=100)
    office.settings["invitations"] = "immediately"
    assert await office.run(people("ann", "bob")) == 1
    await sent(office, 2)
    assert office.invited() == ["ann@example.com", "bob@example.com"]


async def test_a_user_deactivated_before_the_invitation_is_invited_on_return(office: Office) -> None:
    await office.run(people("ann"))
    await office.run(people("ann", deactivate="1"))
    await office.looked()
    assert office.host.mails == []
    assert await office.run(people("ann")) == 1
    await sent(office, 1)


async def test_an_undone_import_invites_no_user_and_none_twice(office: Office) -> None:
    await office.run(people("ann"))
    await sent(office, 1)
    await office.run(people("bob"))
    assert (await office.company.undo()).state is ImportState.UNDONE
    await sent(office, 1)
    await office.company.undo(1)
    assert await office.run(people("ann", "bob")) == 1, "created again, with the record they had"
    await sent(office, 2)
    assert office.invited() == ["ann@example.com", "bob@example.com"]


async def test_undoing_a_deactivation_keeps_the_invitation(office: Office) -> None:
    office.settings["invitations"] = "on_hire_date"
    await office.run(people("ann", hire_date="2026-04-01"))
    await office.run(people("ann", deactivate="1"))
    await office.looked()
    await office.company.undo()
    office.now = datetime(2026, 4, 1, tzinfo=UTC)
    await sent(office, 1)


async def test_turning_invitations_off_withdraws_those_not_sent(office: Office) -> None:
    await office.run(people("ann"))
    office.settings["invitations"] = "off"
    await office.looked()
    office.settings["invitations"] = "immediately"
    await office.looked()
    assert office.host.mails == []


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("Asia/Tokyo", datetime(2026, 3, 1, 14, 59, tzinfo=UTC), datetime(2026, 3, 1, 15, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 2, 4, 59, tzinfo=UTC), datetime(2026, 3, 2, 5, 0, tzinfo=UTC)),
        ("", datetime(2026, 3, 1, 23, 59, tzinfo=UTC), datetime(2026, 3, 2, 0, 0, tzinfo=UTC)),
    ],
)
async def test_a_hire_date_begins_in_the_time_zone_of_the_user(
    office: Office, zone: str, before: datetime, after: datetime
) -> None:
    office.settings["invitations"] = "on_hire_date"
    assert await office.run(people("ann", hire_date="2026-03-02", time_zone=zone)) == 1
    office.now = before
    await office.looked()
    assert office.host.mails == []
    office.now = after
    await sent(office, 1)


async def test_a_user_without_a_future_hire_date_is_invited_at_once(office: Office) -> None:
    office.settings["invitations"] = "on_hire_date"
    await office.run(people("ann", hire_date=""))
    await office.run(people("bob", hire_date="2019-01-01"))
    await sent(office, 2)


async def test_a_later_hire_date_delays_the_invitation(office: Office) -> None:
    office.settings["invitations"] = "on_hire_date"
    await office.run(people("ann", hire_date="2026-03-02"))
    await office.run(people("ann", hire_date="2026-04-01"))
    office.now = datetime(2026, 3, 20, tzinfo=UTC)
    await office.looked()
    assert office.host.mails == []
    office.now = datetime(2026, 4, 1, tzinfo=UTC)
    await sent(office, 1)


async def test_an_invitation_uses_the_tenants_template_in_the_users_language(office: Office) -> None:
    office.settings["invitation_templates"] = {
        "en": {"subject": "Hello {first_name}", "text": "See you at {tenant}."},
        "de": {"subject": "Hallo {first_name}", "text": "Bis bald bei {tenant}, {email}."},
    }
    await office.run(people("ann", language="de"))
    await office.run(people("bob", language="fr"))
    await sent(office, 2)
    assert [mail["Subject"] for mail in office.host.mails] == ["Hallo Ann", "Hello Bob"]
    assert office.host.mails[0].get_content().strip() == "Bis bald bei acme, ann@example.com."


async def test_a_name_with_line_ends_in_it_adds_no_header(office: Office) -> None:
    await office.run(sheet(("Ann\r\nBcc: eve@example.com", "Smith", "ann@example.com")))
    await sent(office, 1)
    assert office.host.mails[0]["Bcc"] is None
    assert office.host.mails[0]["To"] == "ann@example.com"


@pytest.mark.logs("invitation_failed")
async def test_a_mail_server_that_is_away_loses_and_repeats_no_invitation(office: Office) -> None:
    await office.run(people(*(f"p{number}" for number in range(20))))
    office.host.go_away()
    async with office.inviter():
        none = 'headcount_deliveries_total{channel="invitation",result="failed"} 0.0'
        await eventually(lambda: none not in office.metrics.render().decode())
        office.host.come_back()
        await eventually(lambda: len(office.host.mails) >= 20)
    await office.looked()
    assert len(office.host.mails) == len(set(office.host.ids)) == 20


async def test_a_refused_address_is_given_up_and_tried_again_when_the_user_returns(office: Office) -> None:
    office.host.refuses["ann@example.com"] = "550 unknown"
    await office.run(people("ann", "bob"))
    await sent(office, 1)
    assert await office.rows() == [("ann@example.com", "given_up"), ("bob@example.com", "sent")]
    await office.run(people("ann", deactivate="1"))
    office.host.refuses.clear()
    assert await office.run(people("ann")) == 1
    await sent(office, 2)


async def test_the_attempts_of_an_invitation_have_one_message_id_and_end(office: Office) -> None:
    ids: list[str] = []

    def answer(mail: Any) -> str:
        ids.append(mail["Message-ID"])
        return "451 later"

    office.host.answer = answer
    await office.run(people("ann"))
    async with office.inviter(Retries(Growing(0.01, 0.01), tries=3)):

        async def over() -> bool:
            return await office.rows() == [("ann@example.com", "given_up")]

        await eventually(over)
    assert len(ids) == 3
    assert len(set(ids)) == 1


async def test_a_user_changed_while_others_are_invited_is_invited_as_now(office: Office) -> None:
    """Many due invitations are read at once; each user is read again just before its mail."""
    office.settings["invitations"] = "on_hire_date"
    await office.run(people("ann", "bob", "cid", hire_date="2026-03-01"))

    def meanwhile(mail: Any) -> None:
        office.company.by_hand(
            "UPDATE users SET email = 'bob@new.example.com' WHERE email = 'bob@example.com'",
            "UPDATE users SET hire_date = '2026-04-01' WHERE email = 'cid@example.com'",
        )

    office.host.answer = meanwhile
    await sent(office, 2)
    assert office.invited() == ["ann@example.com", "bob@new.example.com"]


@pytest.mark.logs("invited")
async def test_a_tenant_is_visited_while_another_has_many_invitations(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations_module, "BATCH", 10)
    await office.run(people(*(f"p{number}" for number in range(100))))
    names = ["acme"]
    inviter = office.make_inviter(round_s=0.05)
    looked: list[str] = []
    send_some = inviter._send_some

    async def watched(tenant: str, settings: TenantSettings) -> bool:
        looked.append(tenant)
        return await send_some(tenant, settings) if tenant == "acme" else False

    async def tenants() -> list[str]:
        return names

    inviter._send_some, inviter._tenants = watched, tenants  # type: ignore[method-assign]
    office.host.answer = lambda mail: names.append("initech") if len(names) == 1 else None
    inviter.start()
    await eventually(lambda: "initech" in looked)
    await inviter.stop(5)
    assert len(office.host.mails) < 100, "initech did not wait for all of acme"


async def test_the_end_of_an_import_is_noticed_at_once(office: Office, tmp_path: Path) -> None:
    await office.run(people("ann"))
    async with office.inviter() as inviter, open_house(tmp_path, "acme") as house:
        await eventually(lambda: office.host.mails)
        inviter._round_s = inviter._all_due_at = 1e12  # no more rounds
        await office.run(people("bob"))
        await inviter.ended(await run_to(house.queue, await enqueue(house.queue), ImportState.COMPLETED), 0.1)
        await eventually(lambda: len(office.host.mails) == 2)


async def test_a_stop_during_a_visit_ends_at_once(office: Office) -> None:
    inviter = office.make_inviter(round_s=1000)
    inviter.start()
    await asyncio.sleep(0)  # it is opening the tenant's database now
    async with asyncio.timeout(DEADLINE_S):
        await inviter.stop(10 * DEADLINE_S)


async def test_no_invitation_is_sent_while_an_import_locks_the_database(office: Office) -> None:
    """An invitation that could not be recorded is not sent."""
    await office.run(people("ann"))
    with office.company.writing():
        await office.looked()
        assert office.host.tries == 0
    await sent(office, 1)


# An address is invited once, even under another user.

BY_NUMBER: dict[str, Any] = {
    "identifier": "employee_id",
    "custom_fields": ({"key": "employee_id"},),
    "deactivate_missing": True,
    "detect_truncation": False,
}


def numbered(**addresses: str) -> bytes:
    rows = [(number.removeprefix("n"), "A", "S", f"{address}@example.com") for number, address in addresses.items()]
    return sheet(*rows, header=("employee_id", "first_name", "last_name", "email"))


BEFORE, AFTER = numbered(n007="ann", n2="ben", n3="cid"), numbered(n7="ann", n2="ben", n3="cid")


async def test_a_user_with_a_new_number_is_not_invited_again(office: Office) -> None:
    assert await office.run(BEFORE, **BY_NUMBER) == 3
    await sent(office, 3)
    for content in (AFTER, BEFORE, AFTER):
        assert await office.run(content, **BY_NUMBER) == 0
        await sent(office, 3)
        async with office.waiting() as invitations:
            assert await invitations.waiting() == 0


async def test_a_user_with_a_new_number_that_was_not_invited_yet_is_invited_once(office: Office) -> None:
    await office.run(BEFORE, **BY_NUMBER)
    assert await office.run(AFTER, **BY_NUMBER) == 1
    await sent(office, 3)
    assert await office.run(BEFORE, **BY_NUMBER) == 0, "the address was mailed under the other number meanwhile"
    await sent(office, 3)
    async with office.waiting() as invitations:
        assert await invitations.waiting() == 0


async def test_a_new_user_at_an_address_that_was_given_up_is_invited(office: Office) -> None:
    office.host.refuses["ann@example.com"] = "550 unknown"
    await office.run(BEFORE, **BY_NUMBER)
    await sent(office, 2)
    office.host.refuses.clear()
    assert await office.run(AFTER, **BY_NUMBER) == 1
    await sent(office, 3)


async def test_the_address_that_was_mailed_counts_as_invited(office: Office) -> None:
    await office.run(BEFORE, **BY_NUMBER)
    await office.run(numbered(n007="anna", n2="ben", n3="cid"), **BY_NUMBER)
    await sent(office, 3)
    assert min(office.invited()) == "anna@example.com"
    moved = numbered(n007="new", n2="ben", n3="cid", n8="ann", n9="Anna")
    assert await office.run(moved, **BY_NUMBER) == 1, "nothing was sent to ann@, but to anna@"
    await sent(office, 4)
    assert office.invited()[-1] == "ann@example.com"


async def test_a_user_that_is_in_and_out_of_the_file_is_invited_once(office: Office) -> None:
    settings: dict[str, Any] = {"deactivate_missing": True, "detect_truncation": False}
    with_ann, without = people("ann", "ben", "cid"), people("ben", "cid")
    for turn in range(5):
        assert await office.run(with_ann, **settings) == (0 if turn else 3)
        await sent(office, 3)
        assert await office.run(without, **settings) == 0
    assert await office.company.sql("SELECT count(*) FROM changes WHERE 1 BETWEEN user_id - more AND user_id") == [
        (10,)
    ]
