"""Applications that follow the changes of users: the client of docs/api.md, and what it relies on."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.sqlite.tenant.users import SqliteUsers
from ground.moments import utc_now
from importer.errors import Refused
from importer.folder import TenantFolder
from importer.rules.identity import Identity, identity_of
from importer.users.history import ChangesGone
from importer.worker.pruning import prune
from tests.integration.test_versions import DUMPS, restored
from tests.support import ROOT
from tests.support.chosen import random_cases
from tests.support.importing import people, sheet
from tests.support.installation import company_in
from tests.support.site import Site, open_site

API = "/api/v1/tenants/acme"
STAFF: dict[str, Any] = {
    "identifier": "staff",
    "custom_fields": [{"key": "staff"}, {"key": "floor", "type": "number"}],
}
HEADER = (
    "staff",
    "first_name",
    "last_name",
    "email",
    "job_title",
    "manager",
    "secondary_team",
    "floor",
    "deactivate",
)
NAMES = [f"user{number}" for number in range(12)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def documented_client(site: Site, **constants: Any) -> Any:
    """Return the functions of the client in docs/api.md, with the address and token of a viewer of `site`."""
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/api.md", "exec"), names)
    names.update(ACME=f"{site.url}{API}", TOKEN=site.tokens["viewer"], **constants)
    return SimpleNamespace(**names)


class Follower:
    """An application with its own table of users, which it keeps in step by the client of the document."""

    def __init__(self, site: Site, path: Path, **constants: Any) -> None:
        self._client = documented_client(site, **constants)
        self._path = path
        self.after = 0
        self.read_all = 0
        with closing(sqlite3.connect(path)) as db:
            db.execute(self._client.TABLE)

        def counted(db: sqlite3.Connection) -> None:
            self.read_all += 1
            read_all(db)

        read_all = self._client.read_all
        self._client.follow.__globals__["read_all"] = counted

    async def follow(self) -> dict[str, Any]:
        """Bring the table up to date, and return it."""
        return await asyncio.to_thread(self._follow)

    def _follow(self) -> dict[str, Any]:
        with closing(sqlite3.connect(self._path)) as db, db:
            self.after = self._client.follow(db, self.after)
            return {name: json.loads(user) for name, user in db.execute("SELECT identifier, user FROM users")}


async def users_now(site: Site) -> dict[str, Any]:
    settings = await site.office.tenants.settings("acme")
    identity = identity_of(settings)
    lines = (await site.api("viewer").get(f"{API}/users.jsonl")).text.splitlines()
    users = [json.loads(line) for line in lines]
    return {identity.key(name): user for user in users if (name := identity.of(user)) is not None}


def random_file(chance: random.Random, identifier: str) -> bytes:
    """Return a file of some of the users: some addresses are spelled in another way, or have moved between users."""
    addresses = [f"{name.title() if chance.random() < 0.05 else name}@example.com" for name in NAMES]
    for _ in range(chance.choice((0, 2))):
        one, other = chance.sample(range(len(addresses)), 2)
        addresses[one], addresses[other] = addresses[other], addresses[one]
    manager = NAMES[0] if identifier == "staff" else addresses[0]
    rows = [
        (
            *(name, name.title(), "Smith", addresses[number], chance.choice(("Clerk", "Chief", ""))),
            *(chance.choice(("", manager)), chance.choice(("", "Ops", "Ops,Care"))),
            *(str(chance.choice(("", 1, 2))), chance.choice(("", "", "", "yes"))),
        )
        for number, name in enumerate(NAMES)
        if chance.random() < 0.7
    ]
    return sheet(*rows, header=HEADER)


async def undo_newest(site: Site) -> None:
    entries = await site.office.reader.page("acme")
    newest = max((each for each in entries if each.state.value.startswith("completed")), key=lambda each: each.id)
    try:
        await site.office.queue.undo("acme", newest.id, by="a test")
    except Refused:
        return  # another import was applied after it, or its effects were pruned
    await site.run()


async def prune_all(site: Site) -> None:
    """Delete all that retention allows, as if a month had passed."""
    folder, users = site.office.tenants.folder("acme"), site.office.tenants.users("acme")
    await prune(
        *(site.office.queue, "acme", folder, users),
        retention_days=1,
        now=utc_now() + timedelta(days=30),
        archive=site.office.tenants.archive,
    )


@pytest.mark.parametrize("seed", range(random_cases(3)))
@pytest.mark.parametrize("identifier", ["email", "staff"])
async def test_a_client_that_follows_changes_keeps_a_table_of_users_in_step(
    site: Site, tmp_path: Path, identifier: str, seed: int
) -> None:
    settings = {"deactivate_missing": True, "max_deactivations_percent": 100, "require_final_newline": False}
    await site.office.tenants.change_settings("acme", {**STAFF, **settings, "identifier": identifier})
    follower, chance = Follower(site, tmp_path / "table.db", IDENTIFIER=identifier), random.Random(seed)
    for step in range(25):
        await site.imported(random_file(chance, identifier))
        if chance.random() < 0.4:
            await undo_newest(site)
        if step % 8 == 7:
            await prune_all(site)
        if chance.random() < 0.7:
            assert await follower.follow() == await users_now(site), f"step {step}"
    assert await follower.follow() == await users_now(site)
    assert 0 < follower.read_all < (5 if identifier == "staff" else 20)


async def test_a_leaver_whose_address_the_file_spells_in_another_way_leaves_the_table_too(
    site: Site, tmp_path: Path
) -> None:
    await site.imported(people("ann", "ben", manager="ann@example.com"))
    follower = Follower(site, tmp_path / "table.db")
    await follower.follow()
    await site.imported(people("Ann", deactivate="yes"))
    table = await follower.follow()
    assert (table["ann@example.com"]["email"], table["ann@example.com"]["state"]) == (
        "Ann@example.com",
        "deactivated",
    )
    assert table == await users_now(site)


async def test_a_user_created_again_in_another_spelling_is_one_user_of_the_table(site: Site, tmp_path: Path) -> None:
    """A creation has one entry: it does not say that the undone user had another spelling, and was a manager."""
    await site.imported(people("ann", "ben", manager="ann@example.com"))
    follower = Follower(site, tmp_path / "table.db")
    await follower.follow()
    await undo_newest(site)
    await follower.follow()
    await site.imported(people("Ann"))
    assert await follower.follow() == await users_now(site)


async def test_the_client_reads_all_users_if_many_are_new(site: Site, tmp_path: Path) -> None:
    await site.imported(people(*(f"user{number}" for number in range(150)), job_title="Clerk"))
    follower = Follower(site, tmp_path / "table.db")
    assert len(await follower.follow()) == 150
    await site.imported(people("user3", "user200", job_title="Chief"))
    table = await follower.follow()
    assert {name for name, user in table.items() if user["job_title"] == "Chief"} == {
        "user3@example.com",
        "user200@example.com",
    }
    assert follower.read_all == 1


async def test_pages_of_changes_name_the_next_page_and_the_last_one_itself(site: Site) -> None:
    await site.imported(people("ann", "ben", job_title="Clerk"))
    first = await site.api("viewer").get(f"{API}/changes", params={"limit": 1})
    (created,) = first.json()["changes"]
    assert (created["import_id"], created["identifier"], created["field"]) == (1, "ann@example.com", None)
    second = await site.api("viewer").get(str(first.url.join(first.links["next"]["url"])))
    last = await site.api("viewer").get(str(second.url.join(second.links["next"]["url"])))
    assert (last.json()["changes"], last.json()["next"]) == ([], second.json()["next"])


async def test_changes_that_are_not_kept_are_410_with_the_number_to_follow_from(site: Site) -> None:
    await site.imported(people("ann", job_title="Clerk"))
    await site.imported(people("ann", job_title="Chief"))
    newest = (await site.api("viewer").get(f"{API}/changes")).json()["next"]
    for after in (1, newest + 1, 10**18):
        answer = await site.api("viewer").get(f"{API}/changes", params={"after": after})
        assert (answer.status_code, answer.json()["code"], answer.json()["next"]) == (410, "changes_gone", newest)


async def test_no_number_of_a_removed_tenant_is_followed_in_a_new_one_of_its_name(site: Site) -> None:
    await site.imported(people("ann", "ben", "cy"))
    operator = site.api("operator")
    old = (await operator.get(f"{API}/changes")).json()["next"]
    assert (await operator.delete(API)).status_code == 204
    assert (await operator.post("/api/v1/tenants", json={"name": "acme"})).status_code == 201
    await site.imported(people(*(f"user{number}" for number in range(5))))
    assert (await operator.get(f"{API}/changes", params={"after": old})).status_code == 410
    page = (await operator.get(f"{API}/changes")).json()
    assert [change["identifier"] for change in page["changes"]] == [
        f"user{number}@example.com" for number in range(5)
    ]


@pytest.mark.only_on("sqlite", "the companies of tests on another one are copies of one company")
async def test_the_numbers_of_changes_are_exact_in_javascript(tmp_path: Path) -> None:
    firsts = set()
    for number in range(20):
        company = company_in(tmp_path / str(number))
        await company.run(people("ann"))
        async with company.kept.history(Identity()) as history:
            firsts.add((await history.following(0))[1])
    assert len(firsts) == 20
    assert 1 < min(firsts) < max(firsts) < 2**53 - 10**12


async def test_an_import_still_lists_a_creation_as_created(site: Site) -> None:
    await site.imported(people("ann"))
    (change,) = (await site.api("viewer").get(f"{API}/imports/1/changes")).json()["changes"]
    assert change["field"] == "created"


async def test_another_tenants_changes_are_not_followed(site: Site) -> None:
    await site.imported(people("ann"), "other")
    assert (await site.api("viewer").get(f"{API}/changes")).json()["changes"] == []
    assert (await site.api("viewer").get("/api/v1/tenants/other/changes")).status_code == 404


async def test_changes_deleted_by_any_program_are_noticed(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben"))
    async with company.kept.history(Identity()) as history:
        _, newest = await history.following(0)
    await company.sql("DELETE FROM changes")
    async with company.kept.history(Identity()) as history:
        for after in (0, newest - 1):
            with pytest.raises(ChangesGone):
                await history.following(after)
        assert await history.following(newest) == ([], newest)


@pytest.mark.only_on("sqlite", "it is about files of older schemas")
@pytest.mark.parametrize("version", sorted(each for kind, each in DUMPS if kind == "tenant"))
async def test_an_older_database_is_followed_from_its_upgrade_on(tmp_path: Path, version: int) -> None:
    """An older version did not record which changes it deleted, so there may be gaps."""
    restored(tmp_path, "tenant", version)
    kept = SqliteUsers(TenantFolder(tmp_path))
    await kept.prepare()
    async with kept.history(Identity("employee_id")) as history:
        if version < 6:
            with pytest.raises(ChangesGone) as gone:
                await history.following(0)
            assert await history.following(gone.value.newest) == ([], gone.value.newest)
        else:
            assert len((await history.following(0))[0]) > 4


async def test_a_user_whose_address_an_undo_gives_to_another_user_has_that_change(tmp_path: Path) -> None:
    """An undone creation leaves a user who is unknown to later imports, but keeps the address until then."""
    company = company_in(tmp_path)
    own: dict[str, Any] = {"identifier": "staff", "custom_fields": ({"key": "staff"},)}
    header = ("staff", "first_name", "last_name", "email")
    await company.run(sheet(("1", "Ann", "Lee", "ann@example.com"), header=header), **own)
    moved = sheet(("1", "Ann", "Lee", "new@example.com"), ("2", "Ben", "Day", "ann@example.com"), header=header)
    await company.run(moved, **own)
    await company.undo(**own)
    async with company.kept.history(Identity("staff")) as history:
        changes, _ = await history.page_of_user("2")
    assert [(each["field"], each["old"], each["new"], each["undo"]) for each in changes] == [
        ("created", None, None, False),
        ("created", None, None, True),
        ("email", "ann@example.com", None, True),
    ]
