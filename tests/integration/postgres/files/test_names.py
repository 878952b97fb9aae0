"""Names in PostgreSQL: paths are found component by component, the quota is kept true, and tenants are apart."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable

import pytest

from engine.postgres.database import Database
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.drafts import PostgresDraftStore
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.names import FEW_COPIES, PostgresAllNames
from engine.postgres.server.queue import PostgresQueue
from engine.postgres.server.runs import PostgresRunStore
from engine.shared.files import ROOT, ContentGone, Entry, Names, Place, Taken, TenantGone
from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.model import ImportState, Written
from tests.integration.postgres.files.conftest import Put
from tests.support import ROOT as HERE
from tests.support.clients import POSTGRES, needs
from tests.support.queues import enqueue, run_to
from tests.support.runs import put_in_line

pytestmark = needs(POSTGRES)

TIMES = (1_500_000_000, 2_500_000_000)
TRUE_USAGE = "SELECT coalesce(sum(size), 0), count(*) FROM names WHERE counts AND tenant_id = %s"

MakeFile = Callable[..., Awaitable[Entry]]


@pytest.fixture
async def names(contents: PostgresContents, database: Database) -> Names:
    return await PostgresAllNames(database).open("acme")


@pytest.fixture
def make_file(names: Names, put: Put) -> MakeFile:
    async def made(path: str, data: bytes = b"x", *, counts: bool = True, written: Written | None = None) -> Entry:
        content, parts = await put(data), parts_of(path)
        async with names.together():
            await names.hold()
            place = await names.look(parts)
            await names.put(place, parts[-1], content, len(data), TIMES, written, counts=counts)
        return await there(names, path)

    return made


def parts_of(path: str) -> list[bytes]:
    return [part.encode() for part in path.split("/") if part]


async def there(names: Names, path: str) -> Entry:
    entry = (await names.look(parts_of(path))).entry
    assert entry
    return entry


async def make_folder(names: Names, path: str, *, counts: bool = True) -> Entry:
    async with names.together():
        await names.hold()
        place = await names.look(parts_of(path))
        await names.make_folder(place.folder, parts_of(path)[-1], counts=counts)
    return await there(names, path)


async def counts_truly(names: Names, database: Database) -> bool:
    taken = await names.taken()
    return (taken.size, taken.files) == tuple((await database.read(TRUE_USAGE, names.tenant_id))[0])


async def test_a_file_is_found_by_its_path(names: Names, make_file: MakeFile) -> None:
    written = Written(2, 5, 3, foreign=False)
    await make_folder(names, "/a")
    folder = await make_folder(names, "/a/b")
    file = await make_file("/a/b/c.csv", b"12345", written=written)
    assert (file.folder, file.name, file.size, file.accessed, file.modified) == (folder.id, b"c.csv", 5, *TIMES)
    assert file.written == written
    assert await names.look([]) == Place(ROOT, await there(names, "/"))
    assert await names.look(parts_of("/a/b/none")) == Place(folder.id, None)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/none/x", errno.ENOENT),
        ("/none/x/y", errno.ENOENT),
        ("/a/file/x", errno.ENOTDIR),
        ("/a/file/x/y", errno.ENOTDIR),
    ],
)
async def test_a_path_through_no_folder_is_an_error(
    names: Names, make_file: MakeFile, path: str, number: int
) -> None:
    await make_folder(names, "/a")
    await make_file("/a/file")
    with pytest.raises(OSError, match=r".") as failed:
        await names.look(parts_of(path))
    assert failed.value.errno == number


async def test_a_replaced_file_has_the_new_content(names: Names, make_file: MakeFile) -> None:
    old = await make_file("/file", b"old")
    new = await make_file("/file", b"newer")
    assert (new.id, new.size) == (old.id, 5)
    assert new.content != old.content
    assert await names.taken() == Taken(5, 1, 0)


async def test_a_name_refers_only_to_a_content_of_its_tenant(names: Names, put: Put) -> None:
    content = await put(b"secret", "globex")

    async def steal() -> None:
        async with names.together():
            await names.put(Place(ROOT, None), b"mine", content, 6, TIMES, None)

    with pytest.raises(ContentGone):
        await steal()


async def test_a_folder_moves_with_all_in_it(names: Names, make_file: MakeFile) -> None:
    folder = await make_folder(names, "/a")
    await make_file("/a/file", b"123")
    await make_folder(names, "/b")
    async with names.together():
        await names.hold()
        await names.move(folder, await names.look([b"b", b"moved"]), b"moved")
    assert (await there(names, "/b/moved/file")).size == 3
    assert (await names.look([b"a"])).entry is None
    assert await names.depth(ROOT) == 3
    assert await names.depth((await there(names, "/b/moved")).id) == 1


async def test_a_folder_is_listed_in_pages(names: Names, make_file: MakeFile) -> None:
    for name in ("b", "a", "d", "c"):
        await make_file(f"/{name}")
    first = await names.page(ROOT, b"", 3)
    assert [each.name for each in first] == [b"a", b"b", b"c"]
    assert [each.name for each in await names.page(ROOT, first[-1].name, 3)] == [b"d"]


async def test_the_quota_is_kept_whatever_changes_a_name(
    names: Names, make_file: MakeFile, database: Database
) -> None:
    await make_folder(names, "/results", counts=False)
    await make_file("/results/report", b"1234", counts=False)
    assert await names.taken() == Taken(0, 0, 0)
    folder = await make_folder(names, "/a")
    one, two = await make_file("/a/one", b"1"), await make_file("/two", b"22")
    assert await names.taken() == Taken(3, 3, 0)
    async with names.together():
        await names.hold()
        await names.move(one, Place(ROOT, two), b"two")
    assert await names.taken() == Taken(1, 2, 0)
    async with names.together():
        await names.let_count(folder, counts=False)
        await names.let_count(folder, counts=False)
    assert await names.taken() == Taken(1, 1, 0)
    async with names.together():
        await names.delete(await there(names, "/two"))
    assert await names.taken() == Taken(0, 0, 0)
    assert await counts_truly(names, database)


async def test_a_block_that_fails_changes_nothing(names: Names, make_file: MakeFile, database: Database) -> None:
    file = await make_file("/file", b"123")

    async def fail() -> None:
        async with names.together():
            await names.delete(file)
            await names.make_folder(ROOT, b"folder")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await names.taken() == Taken(3, 1, 0)
    assert await there(names, "/file") == file
    assert await counts_truly(names, database)


async def test_a_change_of_a_folder_changes_its_time(names: Names, make_file: MakeFile) -> None:
    before = (await there(names, "/")).modified
    folder = await make_folder(names, "/a")
    assert (await there(names, "/")).modified > before
    file = await make_file("/a/file")
    after = (await there(names, "/a")).modified
    assert after > folder.modified
    async with names.together():
        await names.set_times(file, (1, 2))
    changed = await there(names, "/a/file")
    assert (changed.accessed, changed.modified) == (1, 2)
    assert (await there(names, "/a")).modified == after


async def test_a_removed_tenant_is_never_changed_again(names: Names, make_file: MakeFile, database: Database) -> None:
    await make_file("/file")
    await database.change("DELETE FROM tenants WHERE name = 'acme'")
    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')")
    with pytest.raises(TenantGone):
        await names.hold()
    again = await PostgresAllNames(database).open("acme")
    assert again.tenant_id != names.tenant_id
    assert await again.page(ROOT, b"", 9) == []
    with pytest.raises(TenantGone):
        await PostgresAllNames(database).open("initech")


async def test_copies_of_waiting_imports_and_runs_count_once_and_only_without_a_name(
    names: Names, make_file: MakeFile, put: Put, kept: PostgresKeptFiles, database: Database
) -> None:
    queue, runs, folder = PostgresQueue(database), PostgresRunStore(database), TenantFolder(HERE)

    def copy(number: int) -> str:
        return str(folder.copy(number).relative_to(HERE))

    visible = await make_file("/sync_users.csv", b"12345")
    assert visible.content
    waits, held = await enqueue(queue), await enqueue(queue)
    run, done = await put_in_line(runs), await enqueue(queue)
    await run_to(queue, held, ImportState.HELD)
    await run_to(queue, done, ImportState.COMPLETED)
    other, long = await put(b"123"), await put(b"1" * 100)
    run_name = str(folder.run_copy(run).relative_to(HERE))
    await kept.keep(
        "acme", [(copy(waits), visible.content), (copy(held), other), (run_name, other), (copy(done), long)]
    )
    assert await names.taken() == Taken(5, 1, 3)
    await make_file("/sync_users.csv", b"1234567")
    assert await names.taken() == Taken(7, 1, 8)
    assert await (await PostgresAllNames(database).open("globex")).taken() == Taken(0, 0, 0)


async def test_more_than_a_few_waiting_copies_count_as_before_with_what_went_since(
    names: Names, make_file: MakeFile, put: Put, kept: PostgresKeptFiles, database: Database
) -> None:
    runs, folder = PostgresRunStore(database), TenantFolder(HERE)

    async def wait(content: int) -> None:
        copy = folder.run_copy(await put_in_line(runs)).relative_to(HERE)
        await kept.keep("acme", [(str(copy), content)])

    await make_file("/file", b"12345")
    first, later = await put(b"123"), await put(b"1" * 100)
    for _ in range(FEW_COPIES):
        await wait(first)
    assert await names.taken(before=Taken(5, 1, 99)) == Taken(5, 1, 3)
    await wait(later)
    before = Taken(5, 1, 3)
    assert await names.taken(before=before) == before
    await make_file("/file", b"1")
    assert await names.taken(before=before) == Taken(1, 1, 3 + 4)
    assert await names.taken() == Taken(1, 1, 3 + 100)


async def test_a_tenant_is_changed_by_one_transaction_at_a_time(
    names: Names, make_file: MakeFile, database: Database
) -> None:
    await make_file("/file")

    async def impatient() -> None:
        async with database.together():
            await database.change("SET LOCAL lock_timeout = '50ms'")
            await names.hold()

    async with database.transaction() as steps:
        await steps.rows("SELECT 1 FROM tenants WHERE id = %s FOR NO KEY UPDATE", names.tenant_id)
        with pytest.raises(TryAgain):
            await impatient()
    await impatient()


async def test_unfinished_uploads_of_other_processes_are_taken_once(names: Names, database: Database) -> None:
    killed, mine = PostgresDraftStore(database, "8"), PostgresDraftStore(database, "9")
    await database.change("INSERT INTO nodes (number, host, pid) VALUES (9, 'here', 1)")
    for number in range(3):
        draft = await killed.add(names.tenant_id, f"/{number}", "then")
    await killed.remove(names.tenant_id, draft)
    await killed.note(names.tenant_id, draft - 1, "/moved", 7, "later")
    await mine.add(names.tenant_id, "/mine", "now")
    assert await mine.take_left("globex") == []
    found = [(each.path, each.size, each.noted_at) for each in await mine.take_left("acme")]
    assert found == [("/0", 0, "then"), ("/moved", 7, "later")]
    assert await mine.take_left("acme") == []
