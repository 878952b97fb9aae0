"""The users of a tenant as people read them, over a connection that only reads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import open_directory
from tests.support.importing import Company, people, sheet

LINKED = ("first_name", "last_name", "email", "manager", "coach")


async def test_a_user_s_reports_are_those_whose_manager_or_coach_they_are(tmp_path: Path) -> None:
    company = Company(tmp_path)
    await company.run(
        sheet(
            ("Ann", "Ash", "ann@example.com", "", ""),
            ("Ben", "Bay", "ben@example.com", "ann@example.com", ""),
            ("Cleo", "Cox", "cleo@example.com", "ann@example.com", "ben@example.com"),
            header=LINKED,
        )
    )
    await company.run(people("ben", deactivate="1"))
    ben = {"identifier": "ben@example.com", "name": "Ben Smith", "state": "deactivated"}
    cleo = {"identifier": "cleo@example.com", "name": "Cleo Cox", "state": "active"}
    async with open_directory(TenantFolder(tmp_path), BY_ADDRESS) as directory:
        assert await directory.reports("Ann@example.com") == {"manager_of": [ben, cleo], "coach_of": []}
        assert await directory.reports("ann@example.com", limit=1) == {"manager_of": [ben], "coach_of": []}
        assert await directory.reports("ben@example.com") == {"manager_of": [], "coach_of": [cleo]}
        assert await directory.reports("nobody@example.com") == {"manager_of": [], "coach_of": []}


async def test_reports_are_named_by_the_custom_identifier_where_there_is_one(tmp_path: Path) -> None:
    company = Company(tmp_path)
    rows = [("Ann", "Ash", "ann@example.com", "", "e1"), ("Ben", "Bay", "ben@example.com", "e1", "e2")]
    header = ("first_name", "last_name", "email", "manager", "staff")
    await company.run(sheet(*rows, header=header), identifier="staff", custom_fields=({"key": "staff"},))
    async with open_directory(TenantFolder(tmp_path), Identity("staff")) as directory:
        found = await directory.reports("e1")
    assert [user["identifier"] for user in found["manager_of"]] == ["e2"]


async def test_a_directory_opened_for_reading_changes_nobody_and_waits_for_no_import(tmp_path: Path) -> None:
    company = Company(tmp_path)
    await company.run(people("ann"))
    importing = sqlite3.connect(company.database, isolation_level=None)
    importing.execute("BEGIN EXCLUSIVE")
    try:
        async with open_directory(TenantFolder(tmp_path), BY_ADDRESS) as directory:
            assert await directory.get("ann@example.com")
            with pytest.raises(TryAgain, match="read-only"):
                await directory.set_protected("ann@example.com", True)
    finally:
        importing.close()
