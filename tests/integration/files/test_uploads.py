"""Uploads and downloads by each implementation of files: all or nothing, and what is open stays as it was."""

from __future__ import annotations

import errno
import hashlib
import stat
from pathlib import Path

import pytest

from engine.shared.files import CHUNK
from server.files.contracts import TenantLimits
from tests.support.file_house import NOW_AND_THEN, FileHouse, done, path

LONG = bytes(range(256)) * (CHUNK // 256) + b"more"


async def test_an_upload_is_visible_only_when_it_is_finished(house: FileHouse) -> None:
    await house.put("/a.txt", b"old")
    draft = await house.begin("/a.txt")
    await done(draft.write(0, b"newer"))
    assert (await house.get("/a.txt"), await house.names()) == (b"old", ["a.txt", "invoices", "results", "test"])
    new = await house.begin("/b.txt")
    with pytest.raises(FileNotFoundError):
        await house.files.stat(path("/b.txt"))
    assert await house.files.finish(draft) is None
    assert await house.get("/a.txt") == b"newer"
    await house.files.abandon(new, "the client left")
    assert "b.txt" not in await house.names()
    assert house.metrics.uploads == [("acme", "completed"), ("acme", "completed"), ("acme", "aborted")]


async def test_an_upload_whose_old_file_was_removed_meanwhile_counts_as_a_file(house: FileHouse) -> None:
    before = await house.taken()
    await house.put("/a.txt", b"old")
    draft = await house.begin("/a.txt")
    await house.files.remove(path("/a.txt"))
    await done(draft.write(0, b"newer"))
    await house.files.finish(draft)
    assert await house.taken() == (before[0] + 5, before[1] + 1)


async def test_a_file_is_written_and_read_at_any_offset(house: FileHouse) -> None:
    draft = await house.begin("/long")
    for offset in (CHUNK, 0, 2 * CHUNK + 10):
        await done(draft.write(offset, LONG[:CHUNK]))
    await draft.resize(3 * CHUNK)
    draft.readable = True
    expected = LONG[:CHUNK] * 2 + bytes(10) + LONG[: CHUNK - 10]
    assert await done(draft.read(CHUNK - 5, 10)) == expected[CHUNK - 5 : CHUNK + 5]
    assert await draft.sha256() == hashlib.sha256(expected).hexdigest()
    await house.files.finish(draft)
    assert await house.get("/long") == expected
    reading = await house.files.open(path("/long"))
    assert reading.size == 3 * CHUNK
    for offset, size in ((CHUNK - 5, 10), (3 * CHUNK - 1, 9), (3 * CHUNK, 1), (9 * CHUNK, 1), (0, 0)):
        assert await done(reading.read(offset, size)) == expected[offset : offset + size]
    await reading.close()


async def test_a_file_opened_without_truncation_is_a_copy_until_it_is_finished(house: FileHouse) -> None:
    await house.put("/log", LONG)
    draft = await house.begin("/log", truncate=False)
    assert (draft.size, draft.changed) == (len(LONG), False)
    draft.append = True
    await done(draft.write(0, b"!"))
    assert await house.get("/log") == LONG
    await house.files.finish(draft)
    assert await house.get("/log") == LONG + b"!"
    same = await house.begin("/log", truncate=False)
    await same.set_times(NOW_AND_THEN)
    await house.files.finish(same)
    found = await house.files.stat(path("/log"))
    assert (found.st_atime, found.st_mtime, found.st_size) == (1_600_000_000, 1_500_000_000, len(LONG) + 1)
    assert house.metrics.uploads == [("acme", "completed")] * 2


async def test_a_reader_keeps_the_bytes_that_it_opened(house: FileHouse) -> None:
    await house.put("/file", LONG)
    reading = await house.files.open(path("/file"))
    await house.put("/file", b"short")
    assert await done(reading.read(CHUNK, 9)) == b"more"
    await house.files.remove(path("/file"))
    assert await done(reading.read(0, 9)) == LONG[:9]
    await reading.close()


async def test_a_write_over_the_quota_fails_and_publishes_nothing(house: FileHouse) -> None:
    await house.put("/old", b"12345")
    house.limits = TenantLimits(quota_bytes=10, max_file_bytes=9)
    draft = await house.begin("/old")
    assert await done(draft.write(0, b"1234")) == 4
    for data in (b"123456", b"1234567890"):
        with pytest.raises(OSError, match="quota") as refused:
            await done(draft.write(0, data))
        assert refused.value.errno in (errno.EDQUOT, errno.EIO)
    with pytest.raises(OSError, match="discarded because a write failed: quota exceeded"):
        await house.files.finish(draft)
    assert await house.get("/old") == b"12345"
    assert await house.taken() == (5, 1)


async def test_the_quota_counts_files_folders_and_uploads(house: FileHouse) -> None:
    assert await house.taken() == (0, 0)
    await house.put("/a", b"123")
    await house.make_folder("/folder")
    draft, over = await house.begin("/b"), await house.begin("/a")
    await done(draft.write(0, b"12345"))
    await done(over.write(0, b"1"))
    assert await house.taken() == (9, 3)
    await house.files.discard(draft)
    await house.files.finish(over)
    assert await house.taken() == (1, 2)
    house.limits = TenantLimits(quota_files=2)
    with pytest.raises(OSError, match="at most 2 files and folders are allowed; delete some"):
        await house.begin("/c")
    with pytest.raises(OSError, match="at most 2 files and folders are allowed; delete some"):
        await house.make_folder("/other")
    await house.files.remove(path("/a"))
    await house.files.remove_folder(path("/folder"))
    assert await house.taken() == (0, 0)


async def test_an_exclusive_upload_replaces_nothing(house: FileHouse) -> None:
    await house.put("/there")
    with pytest.raises(FileExistsError, match="a file of this name already exists; remove it or choose"):
        await house.begin("/there", exclusive=True)
    draft = await house.begin("/new", exclusive=True)
    await house.put("/new", b"other")
    with pytest.raises(FileExistsError, match="another session made a file of this name"):
        await house.files.finish(draft)
    assert await house.get("/new") == b"other"
    with pytest.raises(FileNotFoundError):
        await house.begin("/none", create=False)


async def test_an_open_upload_can_be_moved_and_removed(house: FileHouse) -> None:
    draft, gone = await house.begin("/a"), await house.begin("/b")
    await house.put("/there")
    with pytest.raises(FileExistsError):
        await house.files.move_open(draft, path("/there"), replace=False)
    await house.files.move_open(draft, path("/test/c"), replace=False)
    await house.files.remove_open(gone)
    await house.files.finish(draft)
    assert await house.files.finish(gone) is None
    assert (await house.names(), await house.names("/test")) == (["invoices", "results", "test", "there"], ["c"])


async def test_times_and_kinds_are_told(house: FileHouse) -> None:
    draft = await house.begin("/timed")
    await done(draft.write(0, b"123"))
    await draft.set_times(NOW_AND_THEN)
    assert (await draft.stat()).st_size == 3
    await house.files.finish(draft)
    found = await house.files.stat(path("/timed"))
    assert (found.st_size, found.st_mtime, stat.S_IFMT(found.st_mode)) == (3, 1_500_000_000, stat.S_IFREG)
    await house.files.set_times(path("/timed"), (10**9, 2 * 10**9))
    reading = await house.files.open(path("/timed"))
    assert (await reading.stat()).st_mtime == 2
    await reading.set_times((10**9, 3 * 10**9))
    assert ((await reading.stat()).st_mtime, (await house.files.stat(path("/timed"))).st_mtime) == (3, 3)
    await reading.close()
    for folder in ("/", "/test", "/results", "/invoices"):
        await house.files.set_times(path(folder), (0, 0))
        assert stat.S_ISDIR((await house.files.stat(path(folder))).st_mode)


async def test_a_file_of_the_server_fills_a_draft_that_is_never_published(house: FileHouse, tmp_path: Path) -> None:
    (tmp_path / "tested").write_bytes(LONG)
    draft = await house.files.begin_apart(path("/test/x.csv"), lambda: house.limits)
    with open(tmp_path / "tested", "rb") as tested:
        await draft.fill(tested)
    assert await house.taken() == (len(LONG), 0)
    copy = house.folder.copy(7)
    await draft.flush()
    await draft.link(copy)
    await house.files.discard(draft)
    assert copy.read_bytes() == LONG
    assert (await house.taken(), await house.names("/test")) == ((0, 0), [])


async def test_files_are_looked_at_without_a_session(house: FileHouse) -> None:
    await house.put("/test/report.json", LONG)
    assert await house.all.names(house.root, path("/test")) == [b"report.json"]
    with await house.all.look(house.root, path("/test/report.json")) as file:
        assert file.read() == LONG
    for wrong in ("/test", "/none"):
        with pytest.raises(OSError, match=r"."):
            await house.all.look(house.root, path(wrong))
