"""The settings of a tenant are stored as a whole, with the user who changed them."""

from __future__ import annotations

import pytest

from importer.errors import Refused
from importer.rules.identity import Identity
from importer.users.settled import SettingChange, Settled, Texts
from tests.support.importing import Company, people, sheet

WAIT_S = 30.0


def change(number: int) -> SettingChange:
    return SettingChange(f"2026-01-0{number}T00:00:00.000Z", "ann", "delimiter", '","', '";"')


async def test_changed_settings_are_read_as_decided(company: Company) -> None:
    shown: list[Texts] = []

    def decide(texts: Texts) -> Settled:
        shown.append(texts)
        return Settled({"delimiter": '";"'}, [change(1)])

    for _ in range(2):
        await company.kept.change_settings(decide)
    assert shown == [{}, {"delimiter": '";"'}]
    assert company.kept.read_settings(WAIT_S) == ({"delimiter": '";"'}, False)
    assert await company.kept.prepare() == company.kept.take_stock(WAIT_S).settings == {"delimiter": '";"'}


async def test_changes_of_settings_come_newest_first_in_pages(company: Company) -> None:
    await company.kept.change_settings(lambda _: Settled({}, [change(1), change(2), change(3)]))
    newest, before = await company.kept.settings_changes(2)
    assert newest == [change(3), change(2)]
    assert before is not None
    assert await company.kept.settings_changes(2, before) == ([change(1)], None)


async def test_a_refused_identifier_leaves_all_settings_as_they_were(company: Company) -> None:
    await company.run(people("ann"))
    kept = {"identifier": '"number"', "delimiter": '";"'}
    with pytest.raises(Refused, match="Ann Smith"):
        await company.kept.change_settings(lambda _: Settled(kept, [change(1)], Identity("number")))
    assert company.kept.read_settings(WAIT_S) == ({}, False)
    assert await company.kept.settings_changes(10) == ([], None)


async def test_users_are_identified_by_the_chosen_field(company: Company) -> None:
    rows = [("Ann", "Ash", "ann@example.com", "e1"), ("Ben", "Bay", "ben@example.com", "e2")]
    header = ("first_name", "last_name", "email", "number")
    await company.run(sheet(*rows, header=header), custom_fields=({"key": "number"},))
    for identity, identifier in ((Identity("number"), "e2"), (Identity(), "Ben@example.com")):
        settled = Settled({}, [change(1)], identity, means_otherwise=True)
        await company.kept.change_settings(lambda _, settled=settled: settled)
        async with company.kept.directory(identity) as directory:
            found = await directory.get(identifier)
        assert found
        assert found["first_name"] == "Ben"


async def test_a_stock_counts_users_by_state(company: Company) -> None:
    await company.run(people("ann", "ben"), invitations="immediately")
    await company.run(people("ben", deactivate="1"))
    stock = company.kept.take_stock(WAIT_S)
    assert (stock.active, stock.deactivated, stock.inviting) == (1, 1, True)


async def test_the_highest_import_is_the_newest_applied_one(company: Company) -> None:
    assert await company.kept.highest_import() == 0
    await company.run(people("ann"))
    await company.run(people("ben"), dry_run=True)
    assert await company.kept.highest_import() == 1
