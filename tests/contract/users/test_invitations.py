"""An import writes which users to invite; the results are stored with the users."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from importer.users.invitations import Asked
from tests.support.importing import Company, people

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = Asked(NOON, (NOON.timestamp(), NOON.timestamp() + 3600), on_hire_date=False)
ON_HIRE_DATE = Asked(NOON, NOW.waits, on_hire_date=True)
INVITING: dict[str, Any] = {"invitations": "immediately"}
WAIT_S = 30.0
MOST = 10


def in_a_minute(attempts: int) -> float:
    return NOON.timestamp() + 60 * attempts


async def test_invitations_are_due_in_the_order_in_which_they_wait(company: Company) -> None:
    await company.run(people("ann", "ben", "cy"), **INVITING)
    async with company.kept.invitations(WAIT_S) as invitations:
        assert await invitations.waiting() == 3
        assert await invitations.due(NOW, MOST) == [1, 2, 3]
        assert await invitations.due(NOW, 2) == [1, 2]


async def test_a_try_is_counted_when_it_begins_and_the_next_one_is_scheduled(company: Company) -> None:
    await company.run(people("ann", job_title="Cook"), **INVITING)
    later = Asked(NOON, (NOON.timestamp() + 60, NOON.timestamp() + 7200), on_hire_date=False)
    async with company.kept.invitations(WAIT_S) as invitations:
        first = await invitations.begin(1, NOW, in_a_minute)
        assert first
        assert (first.attempts, first.language, first.values["job_title"]) == (0, "en", "Cook")
        assert await invitations.due(NOW, MOST) == []
        assert await invitations.begin(1, NOW, in_a_minute) is None
        second = await invitations.begin(1, later, in_a_minute)
        assert second
        assert (second.attempts, second.message_id) == (1, first.message_id)


async def test_an_invited_address_is_not_invited_again(company: Company) -> None:
    await company.run(people("ann"), **INVITING)
    async with company.kept.invitations(WAIT_S) as invitations:
        begun = await invitations.begin(1, NOW, in_a_minute)
        assert begun
        await invitations.sent(begun, "2026-03-01T12:00:00.000Z")
        assert await invitations.waiting() == 0
    await company.undo()
    assert (await company.run(people("ann"), **INVITING)).counts.invitations == 0


async def test_a_failed_invitation_waits_until_a_try_is_the_last(company: Company) -> None:
    await company.run(people("ann"), **INVITING)
    async with company.kept.invitations(WAIT_S) as invitations:
        for ends, waiting in ((False, 1), (True, 0)):
            begun = await invitations.begin(1, Asked(NOON, (2e12, 2e12), on_hire_date=False), in_a_minute)
            assert begun
            await invitations.failed(begun, "550 unknown", ends=ends)
            assert await invitations.waiting() == waiting


async def test_an_invitation_waits_for_the_hire_date_if_the_setting_is_on(company: Company) -> None:
    await company.run(people("ann", hire_date="2026-03-02", time_zone="Asia/Tokyo"), **INVITING)
    await company.run(people("ben", hire_date="2026-03-02", time_zone="Pacific/Kiritimati"), **INVITING)
    async with company.kept.invitations(WAIT_S) as invitations:
        assert await invitations.due(ON_HIRE_DATE, MOST) == [2], "it is the second of March there"
        assert await invitations.due(NOW, MOST) == [1, 2]


async def test_a_withdrawn_invitation_no_longer_waits(company: Company) -> None:
    await company.run(people("ann", "ben"), **INVITING)
    async with company.kept.invitations(WAIT_S) as invitations:
        for _ in range(2):
            await invitations.withdraw()
            assert await invitations.due(NOW, MOST) == []
    assert not company.kept.take_stock(WAIT_S).inviting
