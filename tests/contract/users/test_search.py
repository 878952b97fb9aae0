"""A search finds users by the beginnings of words, with an index and without one."""

from __future__ import annotations

from typing import Any

import pytest

from importer.users import search as search_module
from importer.users.directory import Wanted
from tests.support.importing import Company, people, sheet

STAFF: dict[str, Any] = {"identifier": "staff", "custom_fields": ({"key": "staff"},)}
EVERYBODY = (
    ("Anna", "Smith", "anna@example.com", "E-100/7"),
    ("Anna-Lena", "O'Brien", "lena.obrien@example.com", "E-100/8"),
    ("Zoë", "Åström", "zoe@other.example", "e200"),
    ("Анна", "Кузнецова", "kuz@example.com", "e400"),
)


@pytest.fixture(params=[False, True], ids=["few", "many"])
async def searched(request: pytest.FixtureRequest, company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """Yield a company with these users; they are indexed if they are many enough."""
    if request.param:
        monkeypatch.setattr(search_module, "FEW", -1)
    await company.run(sheet(*EVERYBODY, header=("first_name", "last_name", "email", "staff")), **STAFF)
    company.kept.catch_up_index()
    assert company.kept.is_indexed() or not request.param
    return company


async def found(company: Company, search: str, **filters: Any) -> list[str]:
    async with company.kept.directory() as directory:
        users, _ = await directory.page(Wanted(search, filters.pop("state", None)), **filters)
    return [user["last_name"] for user in users]


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("ann", ["Smith", "O'Brien"]),
        ("SMITH  anna", ["Smith"]),
        ("anna@exa", ["Smith"]),
        ("mith", []),
        ("o'br", ["O'Brien"]),
        ("ZOE\u0308 astrom", ["Åström"]),
        ("анна куз", ["Кузнецова"]),
        ("e-100", ["Smith", "O'Brien"]),
        ("NOT anna", []),
    ],
)
async def test_a_search_finds_users_by_the_beginnings_of_words(
    searched: Company, search: str, names: list[str]
) -> None:
    assert await found(searched, search) == names


async def test_a_search_sees_changes_since_the_index_was_built(searched: Company) -> None:
    await searched.run(people("later", staff="e900"), **STAFF)
    assert await found(searched, "later") == ["Smith"]
    await searched.run(sheet(("Nora", "Ny", "anna@example.com", "E-100/7"), header=(*HEADER, "staff")), **STAFF)
    assert await found(searched, "nora") == ["Ny"]
    assert await found(searched, "anna smith") == []
    assert searched.kept.catch_up_index() >= 0
    assert await found(searched, "nora", state="active") == ["Ny"]
    assert await found(searched, "nora", state="deactivated") == []


HEADER = ("first_name", "last_name", "email")
