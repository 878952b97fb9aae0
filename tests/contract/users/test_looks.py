"""The storage of users is looked at without opening it, or read completely."""

from __future__ import annotations

from tests.support.importing import Company, people


async def test_users_look_the_same_until_they_are_written(company: Company) -> None:
    before = company.kept.looks_like()
    assert company.kept.is_plain()
    assert repr(company.kept.looks_like()) == repr(before)
    await company.run(people("ann"))
    assert company.kept.looks_like() != before


async def test_usable_users_have_no_fault(company: Company) -> None:
    await company.run(people("ann"))
    company.kept.read_all()
    assert company.kept.why_shut() is None
