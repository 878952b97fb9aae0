"""No statement about files reads rows that it does not need, also while PostgreSQL knows nothing of its tables."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.postgres.database import alone
from engine.postgres.files.archive import PostgresArchive
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.drafts import PostgresDraftStore
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.names import PostgresAllNames, PostgresNames
from engine.postgres.files.objects import ObjectContents
from engine.postgres.files.owner import require_no_objects
from engine.shared.files import ROOT, Taken
from importer.folder import TenantFolder
from tests.integration.postgres.test_query_plans import EXPLAIN, Scene
from tests.support.bucket import objects_of
from tests.support.clients import POSTGRES, needs

pytestmark = needs(POSTGRES)

TENANTS, EACH, LARGE = 1000, 10, 3000
FEW = 20
FILL = f"""
    INSERT INTO tenants (name, created_at) SELECT 't' || number, 'now' FROM generate_series(1, {TENANTS}) AS number;

    INSERT INTO contents (tenant_id, id, size, sealed)
    SELECT tenants.id, number, 3, true FROM tenants
    CROSS JOIN LATERAL generate_series(1, CASE WHEN tenants.name = 't7' THEN {LARGE} ELSE {EACH} END) AS number;

    SELECT setval(pg_get_serial_sequence('contents', 'id'), {LARGE});

    INSERT INTO chunks SELECT tenant_id, id, 0, 'abc' FROM contents;

    INSERT INTO names (tenant_id, folder_id, name, content_id, size, accessed, modified)
    SELECT tenant_id, 0, id::text::bytea, nullif(id, id / 3 * 3), least(id % 3, 1) * 3, 0, 0 FROM contents;

    INSERT INTO kept_files (tenant_id, name, content_id, size) SELECT tenant_id, 'uploads/' || id || '.csv', id, 3
    FROM contents;

    INSERT INTO runs (tenant_id, id, hook, path, state, sequence, size, uploaded_at)
    SELECT tenants.id, number, 'invoices', '/x', 'queued', number, 3, 'now'
    FROM tenants, generate_series(1, {LARGE}) AS number WHERE name = 't7';

    INSERT INTO kept_files (tenant_id, name, content_id, size)
    SELECT tenant_id, 'runs/' || id || '.file', id, 3 FROM runs;

    INSERT INTO drafts (tenant_id, process, path, noted_at)
    SELECT tenants.id, 'other', '/x', 'now' FROM tenants, generate_series(1, 3)"""


class FilesScene(Scene):
    """All tenants have files; `names` are those of the tenant with the most."""

    names: PostgresNames
    contents: PostgresContents
    objects: ObjectContents
    kept: PostgresKeptFiles
    drafts: PostgresDraftStore
    archive: PostgresArchive
    folder: Path
    fd: int


@pytest.fixture(params=["never analyzed", "analyzed"])
async def scene(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[FilesScene]:
    async with alone(url) as database:
        scene = FilesScene(database)
        await database.change(FILL)
        if request.param == "analyzed":
            await database.change("ANALYZE")
        scene.names = await PostgresAllNames(database).open("t7")
        scene.contents, scene.kept = PostgresContents(database, unneeded_s=0), PostgresKeptFiles(database)
        scene.objects = ObjectContents(database, objects_of(tmp_path), unneeded_s=0, stray_s=0)
        scene.drafts = PostgresDraftStore(database, "mine")
        scene.archive, scene.folder = PostgresArchive(database, scene.contents, tmp_path), tmp_path
        scene.fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.pwrite(scene.fd, b"abc", 0)
        async with database._lend() as connection:
            connection.add_notice_handler(scene.hear)
        for statement in EXPLAIN:
            await database.change(statement)
        scene.watched = True
        yield scene
        os.close(scene.fd)


async def lands(scene: FilesScene) -> None:
    content = await scene.contents.store("t7", scene.fd, 3)
    async with scene.names.together():
        await scene.names.hold()
        await scene.names.put(await scene.names.look([b"7"]), b"7", content, 3, (0, 0), None)
        await scene.kept.keep("t7", [("uploads/7.csv", content)])
        await scene.names.taken([content], Taken(0, 0, 0))  # without these, all copies that wait are looked at


async def changes(scene: FilesScene) -> None:
    names = scene.names
    async with names.together():
        await names.hold()
        await names.make_folder(ROOT, b"new")
        folder = (await names.look([b"new"])).entry
        file = (await names.look([b"8"])).entry
        assert folder
        assert file
        await names.move(file, await names.look([b"new", b"8"]), b"8")
        await names.depth(folder.id)
        await names.page(folder.id, b"", 9)
        await names.set_times(file, (1, 1))
        await names.let_count(folder, counts=False)
        await names.delete(file)


async def is_kept(scene: FilesScene) -> None:
    await scene.kept.drop("t9", ["uploads/7.csv"])
    await scene.kept.find("t7", ["uploads/9.csv", "uploads/10.csv"])
    await scene.kept.list("t7", "uploads/77")


async def is_archived(scene: FilesScene) -> None:
    archive, large = scene.archive, TenantFolder(scene.folder / "t7")
    await archive.find(large, large.copy(9))
    await archive.was_published(large, large.copy(9), large.visible("/9"))
    found = await archive.find(large, large.copy(10))
    assert found
    await archive.drop_if(large, large.copy(10), found)
    small = TenantFolder(scene.folder / "t9")
    assert len(await archive.stored(small, small.uploads)) <= EACH


async def is_read(scene: FilesScene) -> None:
    await scene.contents.read("t7", 9, 0, 3)
    await scene.contents.fetch("t7", 9, scene.fd)
    await scene.contents.keep_for_reader("t7", 9)


async def is_in_s3(scene: FilesScene) -> None:
    await require_no_objects(scene.database)
    content = await scene.objects.store("t7", scene.fd, 3)
    assert await scene.objects.read("t7", content, 1, 1) == b"b"
    await scene.objects.fetch("t7", content, scene.fd)
    for _ in range(2):
        await scene.objects.collect(2)
    await scene.objects.check()


async def is_noted(scene: FilesScene) -> None:
    draft = await scene.drafts.add(scene.names.tenant_id, "/x", "now")
    await scene.drafts.note(scene.names.tenant_id, draft, "/x", 5, "now")
    await scene.drafts.remove(scene.names.tenant_id, draft)
    await scene.drafts.take_left("t9")


DOES: dict[str, Callable[[FilesScene], Awaitable[Any]]] = {
    "a file lands": lands,
    "names are changed": changes,
    "a page of a long folder": lambda scene: scene.names.page(ROOT, b"2", 9),
    "copies are kept": is_kept,
    "files are archived": is_archived,
    "contents are read": is_read,
    "contents are collected": lambda scene: scene.contents.collect(2),
    "contents are in S3": is_in_s3,
    "drafts are noted": is_noted,
}


async def test_no_statement_about_files_reads_all_rows(scene: FilesScene) -> None:
    slow = {}
    for what, do in DOES.items():
        scene.plans.clear()
        await do(scene)
        assert scene.plans, what
        rows, statement = scene.most_read()
        if rows > FEW:
            slow[what] = f"{rows} rows by {statement}"
    assert not slow, "\n".join(f"{what}: {said}" for what, said in slow.items())


async def test_a_look_for_drafts_of_lost_servers_reads_no_other_tenants(scene: FilesScene) -> None:
    """Each server looks twice a second."""
    await scene.database.change("DELETE FROM drafts WHERE tenant_id <> %s", scene.names.tenant_id)
    scene.plans.clear()
    assert await scene.drafts.left() == {"t7"}
    assert scene.most_read()[0] <= FEW
