"""Searching users by index: what is found, and that an answer is right however far behind the index is."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sqlite.database import open_database
from engine.sqlite.tenant.search import LATE_MOST, attach_index
from engine.sqlite.tenant.search_index import catch_up
from importer.errors import ImporterError
from importer.folder import TenantFolder
from importer.users import search as search_module
from importer.users.directory import Wanted
from importer.users.search import clean
from tests.support.importing import Company, people, sheet
from tests.support.installation import company_in
from tests.support.writing import being_written

pytestmark = [
    pytest.mark.only_on("sqlite", "the searches of other engines have no index"),
    pytest.mark.usefixtures("indexed_however_few"),
]

STAFF: dict[str, Any] = {"identifier": "staff", "custom_fields": ({"key": "staff"},)}
EVERYBODY = (
    ("Anna", "Smith", "anna@example.com", "E-100/7"),
    ("Anna-Lena", "O'Brien", "lena.obrien@example.com", "E-100/8"),
    ("Zoë", "Åström", "zoe@other.example", "e200"),
    ("太郎", "山田", "taro@example.com", "e300"),
    ("Анна", "Кузнецова", "kuz@example.com", "e400"),
    ('Robert "Bob"', "Not 100%_sure 🎉", "bob@example.com", "e500"),
)


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    """Yield a company whose users are indexed."""
    company = company_in(tmp_path)
    header = ("first_name", "last_name", "email", "staff")
    await company.run(sheet(*EVERYBODY, header=header), **STAFF)
    catch_up(TenantFolder(tmp_path))
    return company


async def found(company: Company, search: str = "", **filters: Any) -> list[str]:
    """Return the last names of the users that the directory finds."""
    async with company.kept.directory() as directory:
        users, _ = await directory.page(Wanted(search, filters.pop("state", None)), **filters)
    return [user["last_name"] for user in users]


FILTERS = ("state", "team", "location", "protected")
ASKED: dict[str, Any] = {"known": False, "after": 0, "limit": 100, **dict.fromkeys(FILTERS)}


async def by_index(company: Company, search: str) -> list[int] | None:
    """Return the ids that the index itself answers with; None if it has no answer."""
    return (await answers(company, search))[0]


async def answers(company: Company, *searches: str) -> list[list[int] | None]:
    """Return the answers to each search."""
    db = await open_database(company.database, "tenant", readonly=True)
    try:
        index = await attach_index(db, TenantFolder(company.folder).search_db)
        if index is None:
            return [None] * len(searches)
        return [await index.find({**ASKED, "search": clean(each)}) for each in searches]
    finally:
        await db.close()


# The results of a search


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("ann", ["Smith", "O'Brien"]),
        ("ann smi", ["Smith"]),
        ("SMITH  anna", ["Smith"]),
        ("anna@exa", ["Smith"]),
        ("anna@example.com", ["Smith"]),
        ("example", ["Smith", "O'Brien", "Åström", "山田", "Кузнецова", "Not 100%_sure 🎉"]),
        ("mith", []),
        ("anna@other", []),
        ("anna-l", ["O'Brien"]),
        ("o'br", ["O'Brien"]),
        ("zoe", ["Åström"]),
        ("ZOE\u0308 astrom", ["Åström"]),
        ("åst", ["Åström"]),
        ("山", ["山田"]),
        ("太郎 山田", ["山田"]),
        ("анна куз", ["Кузнецова"]),
        ("e-100", ["Smith", "O'Brien"]),
        ("E-100/7", ["Smith"]),
        ("e200", ["Åström"]),
        ('"bob"', ["Not 100%_sure 🎉"]),
        ("🎉 bob", ["Not 100%_sure 🎉"]),
        ("100%", ["Smith", "O'Brien", "Not 100%_sure 🎉"]),
    ],
)
async def test_a_search_finds_by_the_beginnings_of_words(company: Company, search: str, names: list[str]) -> None:
    assert await by_index(company, search) is not None
    assert await found(company, search) == names


@pytest.mark.parametrize(
    "search",
    [
        "anna OR zoe",
        "NOT anna",
        "anna AND",
        "NEAR(anna smith)",
        "anna*",
        "^smith anna",
        "text: anna",
        "-anna",
        'anna" OR "zoe',
        '"',
        "anna\0zoe",
        "(" * 300,
        "anna " * 3000,
        "'; DROP TABLE users; --",
    ],
)
async def test_nothing_in_a_search_is_syntax(company: Company, search: str) -> None:
    names = await found(company, search)
    assert "Åström" not in names
    assert len(await found(company)) == len(EVERYBODY)


async def test_a_search_without_indexed_letters_reads_every_user(company: Company) -> None:
    for search, names in {"🎉": ["Not 100%_sure 🎉"], "%_": ["Not 100%_sure 🎉"], "\\": [], "&": []}.items():
        assert await by_index(company, search) is None
        assert await found(company, search) == names
    youngest = "\U0001e900"  # a letter of Unicode 9, younger than SQLite's tables
    await company.sql("UPDATE users SET last_name = ? WHERE email = 'anna@example.com'", (youngest,))
    assert await by_index(company, youngest) is None
    assert await found(company, youngest) == await found(company, youngest.lower()) == [youngest]


async def test_a_state_narrows_the_users_found(company: Company) -> None:
    await company.sql("UPDATE users SET state = 'deactivated' WHERE email = 'anna@example.com'")
    for _ in range(2):
        assert await found(company, "ann", state="active") == ["O'Brien"]
        assert await found(company, "ann", state="deactivated") == ["Smith"]
        assert await found(company, state="deactivated") == ["Smith"]
        assert await found(company, "deactivated") == []
        assert len(await found(company, state="active")) == len(EVERYBODY) - 1
        catch_up(TenantFolder(company.folder))


async def test_users_unknown_to_imports_are_left_out_on_request(company: Company) -> None:
    await company.sql("UPDATE users SET known = false WHERE email = 'anna@example.com'")
    for _ in range(2):
        assert await found(company, "ann") == ["Smith", "O'Brien"]
        assert await found(company, "ann", known=True) == ["O'Brien"]
        catch_up(TenantFolder(company.folder))


async def test_pages_follow_each_other_and_miss_no_user(company: Company) -> None:
    await company.sql("UPDATE users SET last_name = 'Example' WHERE id IN (2, 5)")  # some users are not indexed yet
    names, after = [], 0
    async with company.kept.directory() as directory:
        while True:
            users, following = await directory.page(Wanted("exam"), limit=1, after=after)
            names += [user["first_name"] for user in users]
            if following is None:
                break
            after = following
    assert names == [row[0] for row in EVERYBODY]


async def test_no_user_of_another_tenant_is_found(company: Company, tmp_path: Path) -> None:
    other = company_in(tmp_path / "other")
    await other.run(people("zelda"))
    catch_up(TenantFolder(other.folder))
    assert await found(company, "zelda") == []
    assert await found(other, "anna") == []
    shutil.copy(company.folder / "search.db", other.folder / "search.db")
    assert await by_index(other, "anna") is None
    assert (await found(other, "anna"), await found(other, "zel")) == ([], ["Smith"])


# While the index is behind


async def test_a_changed_user_is_found_before_and_after_the_index_catches_up(company: Company) -> None:
    folder = TenantFolder(company.folder)
    header = ("first_name", "last_name", "email", "staff")
    await company.run(
        sheet(
            ("Anna", "Ångström", "anna@example.com", "E-100/7"), ("Zed", "New", "z@example.com", "e9"), header=header
        ),
        **STAFF,
    )
    await company.sql(
        "UPDATE users SET email = 'by@hand.example', email_key = 'by@hand.example' WHERE first_name = 'Zoë'"
    )
    await company.sql("DELETE FROM users WHERE first_name = '太郎'")
    for _ in range(2):
        assert await by_index(company, "angs") == [1]
        assert await found(company, "anna smith") == []
        assert await found(company, "zed") == ["New"]
        assert await found(company, "by@hand") == ["Åström"]
        assert await found(company, "zoe@other") == []
        assert await found(company, "山田") == []
        catch_up(folder)
    await company.undo(**STAFF)
    for _ in range(2):
        assert await by_index(company, "angs") == []
        assert await found(company, "anna smith") == ["Smith"]
        assert await found(company, "zed", state="active") == []
        catch_up(folder)


@pytest.mark.parametrize("rows", [[("Zed", "New", "z@example.com", "e9")], [("Zed", "", "", "")]])
async def test_a_user_added_by_hand_is_found_after_any_import(company: Company, rows: list[tuple[str, ...]]) -> None:
    await company.run(sheet(*rows, header=("first_name", "last_name", "email", "staff")), **STAFF)
    await company.sql("DELETE FROM users WHERE id = 2")
    catch_up(TenantFolder(company.folder))
    await company.sql("INSERT INTO users (id, first_name, last_name) VALUES (2, 'Hand', 'Made')")
    assert await by_index(company, "hand made") == [2]


async def test_an_index_too_far_behind_is_not_used(company: Company) -> None:
    rows = [(f"Late{n}", "Comer", f"late{n}@example.com", f"x{n}") for n in range(LATE_MOST + 1)]
    await company.run(sheet(*rows, header=("first_name", "last_name", "email", "staff")), **STAFF)
    assert await by_index(company, "late7") is None
    assert await found(company, "late1999 comer") == ["Comer"]
    assert catch_up(TenantFolder(company.folder)) > LATE_MOST
    assert await by_index(company, "late1999 comer") is not None
    await company.sql("UPDATE users SET last_name = 'Goer'")
    assert await by_index(company, "goer") is None
    assert await found(company, "late1999 goer") == ["Goer"]
    assert catch_up(TenantFolder(company.folder)) > LATE_MOST
    assert await by_index(company, "late1999 goer") is not None
    assert await found(company, "comer") == []


async def test_an_index_stopped_halfway_continues_the_next_time(tmp_path: Path) -> None:
    company, folder = company_in(tmp_path), TenantFolder(tmp_path)
    await company.run(people("ann", "ben"))
    assert catch_up(folder, lambda: True) == 0
    assert await by_index(company, "ann") == [1]
    assert catch_up(folder) == 2
    assert catch_up(folder) == 0


async def test_the_index_follows_a_running_import_without_blocking_it(company: Company) -> None:
    folder = TenantFolder(company.folder)
    await company.sql("UPDATE users SET last_name = 'Before' WHERE id = 1")
    with being_written(company.database, "UPDATE users SET last_name = 'During' WHERE id = 1", keep=True):
        assert catch_up(folder) > 0
        assert (await by_index(company, "before"), await by_index(company, "during")) == ([1], [])
    for _ in range(2):
        assert (await by_index(company, "before"), await by_index(company, "during")) == ([], [1])
        catch_up(folder)
    assert await company.sql("SELECT count(*) FROM search_log") == [(1,)]


SEARCHES = ("a", "a b", "c@", "x")
NAMES = st.sampled_from(["A", "Ab", "B", "C", "X"])
STEPS = st.one_of(
    st.tuples(st.just("catch up")),
    st.tuples(st.just("insert"), NAMES, NAMES, st.integers(1, 9)),
    st.tuples(st.just("replace"), NAMES, NAMES, st.integers(1, 9)),
    st.tuples(st.just("rename"), NAMES, NAMES, st.integers(1, 9)),
    st.tuples(st.just("renumber"), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.just("remove"), st.integers(1, 9)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_a_search_finds_users_as_they_are_now_whatever_changed_them(steps: list[tuple[Any, ...]]) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as name:
            company = company_in(Path(name))
            await company.run(people("ann"))
            catch_up(TenantFolder(company.folder))
            for step in steps:
                await take(company, step)
                users = await company.sql("SELECT id, first_name, last_name, email FROM users ORDER BY id")
                expected = [[user[0] for user in users if fits(search, user[1:])] for search in SEARCHES]
                assert await answers(company, *SEARCHES) == expected

    asyncio.run(scenario())


async def take(company: Company, step: tuple[Any, ...]) -> None:
    what, *values = step
    if what == "catch up":
        catch_up(TenantFolder(company.folder))
        return
    put = "INTO users (first_name, last_name, id, email, email_key) SELECT ?1, ?2, ?3, ?1 || '@x', ?1 || ?3 || '@x'"
    statement = {
        "insert": f"INSERT OR IGNORE {put}",
        "replace": f"INSERT OR REPLACE {put}",
        "rename": "UPDATE users SET first_name = ?, last_name = ? WHERE id = ?",
        "renumber": "UPDATE OR IGNORE users SET id = ? WHERE id = ?",
        "remove": "DELETE FROM users WHERE id = ?",
    }[what]
    await company.sql(statement, values)


def fits(search: str, texts: tuple[str, ...]) -> bool:
    """Return whether each word of the search begins a word of the texts."""
    words = re.findall(r"[a-z]+", " ".join(texts).lower())
    return all(any(word.startswith(wanted.strip("@")) for word in words) for wanted in search.split())


# Few users


async def test_few_users_are_found_without_a_stored_index(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    searches = ("zoe astrom", "anna@exa", "e-100", "куз АННА", "nith", "o'brien lena")
    indexed = [await found(company, search) for search in searches]
    monkeypatch.setattr(search_module, "FEW", len(EVERYBODY))
    for _ in range(2):
        assert [await found(company, search) for search in searches] == indexed
        assert await found(company, "zoe", state="deactivated") == []
        catch_up(TenantFolder(company.folder))
        assert list(company.folder.glob("search.db*")) == []
    assert len(await company.sql("SELECT * FROM search_log")) == 1, "what no index follows is not kept"
    await company.run(people("one-more", staff="e900"), **STAFF)
    assert await found(company, "one") == ["Smith"]
    catch_up(TenantFolder(company.folder))
    assert await by_index(company, "one") == [len(EVERYBODY) + 1]


# Damage to the file


async def test_a_removed_index_is_rebuilt(company: Company) -> None:
    (company.folder / "search.db").unlink()
    assert await by_index(company, "smith") is None
    assert await found(company, "smith") == ["Smith"]
    assert await found(company, "куз АННА") == ["Кузнецова"]
    catch_up(TenantFolder(company.folder))
    assert await by_index(company, "smith") == [1]


@pytest.mark.logs("search_index_broken")
@pytest.mark.parametrize("kept", [0, 1000, 4096, 20_000])
async def test_a_garbage_index_does_no_harm_and_is_rebuilt(company: Company, kept: int) -> None:
    path = company.folder / "search.db"
    content = path.read_bytes()
    path.write_bytes(content[:kept] + b"garbage!" * ((len(content) - kept) // 8))
    assert await found(company, "smith") == ["Smith"]
    catch_up(TenantFolder(company.folder))
    assert await by_index(company, "smith") == [1]


async def test_a_damaged_index_that_cannot_be_removed_does_no_harm(company: Company) -> None:
    (company.folder / "search.db").write_bytes(b"garbage!" * 1000)
    (company.folder / "search.db-shm").mkdir()  # cannot be removed, as in a read-only folder
    assert await found(company, "smith") == ["Smith"]
    with pytest.raises((ImporterError, OSError)):
        company.kept.catch_up_index()


async def test_a_truncated_index_does_no_harm_and_is_rebuilt(company: Company) -> None:
    path = company.folder / "search.db"
    path.write_bytes(path.read_bytes()[:9000])
    assert await found(company, "smith") == ["Smith"]
    catch_up(TenantFolder(company.folder))
    assert await by_index(company, "smith") == [1]


async def test_an_index_of_later_users_is_not_used_after_an_older_copy_is_restored(company: Company) -> None:
    copy = company.database.read_bytes()
    await company.run(people("later", staff="e100"), **STAFF)
    catch_up(TenantFolder(company.folder))
    assert await by_index(company, "later") == [7]
    for end in ("-wal", "-shm"):  # a reader that was the last to close it leaves them
        Path(f"{company.database}{end}").unlink(missing_ok=True)
    company.database.write_bytes(copy)
    await company.run(people("fresh", staff="e100"), **STAFF)
    for _ in range(2):
        assert await found(company, "later") == []
        assert await found(company, "fresh") == ["Smith"]
        catch_up(TenantFolder(company.folder))


async def test_the_index_has_mode_0600(company: Company) -> None:
    assert {path.stat().st_mode & 0o777 for path in company.folder.glob("search.db*")} == {0o600}


async def test_users_are_counted_as_they_are_now(company: Company) -> None:
    folder = TenantFolder(company.folder)
    async with company.kept.directory() as directory:
        assert await directory.count_by_state() == {"active": 6, "deactivated": 0}
    await company.sql("UPDATE users SET state = 'deactivated' WHERE id < 3")
    await company.sql("DELETE FROM users WHERE id = 6")
    for _ in range(2):
        async with company.kept.directory() as directory:
            assert await directory.count_by_state() == {"active": 3, "deactivated": 2}
        catch_up(folder)
