"""Tests on a copy of the users leave the users as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.errors import Stopped
from importer.users.users import Look
from tests.support.importing import Company, sheet

FIELDS: dict[str, Any] = {"custom_fields": ({"key": "number"}, {"key": "site"})}
HEADER = ("first_name", "last_name", "email", "number", "site")


async def test_a_field_with_a_different_value_for_each_user_may_identify_them(company: Company) -> None:
    assert company.kept.look(["number", "site"]) == Look(are=False)
    rows = [("Ann", "Ash", "ann@example.com", "1", "Rome"), ("Ben", "Bay", "ben@example.com", "2", "Rome")]
    await company.run(sheet(*rows, header=HEADER), **FIELDS)
    assert company.kept.look(["number", "site"]) == Look(are=True, numbered=frozenset({"number"}))
    await company.run(sheet(("Ann", "Ash", "ann@example.com", "3", "Rome"), header=HEADER), **FIELDS)
    assert company.kept.look(["number"]) == Look(are=True), "a value that changes identifies no user"


async def test_a_copy_ends_when_the_server_stops(company: Company, tmp_path: Path) -> None:
    assert company.kept.copy_bytes() > 0
    (tmp_path / "tries").mkdir()
    with pytest.raises(Stopped):
        company.kept.copy(tmp_path / "tries", lambda: True)
