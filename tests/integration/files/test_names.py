"""Changes of names by each implementation: the same answers, sentences and quota, whatever is done."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.files.contracts import TenantLimits
from server.files.paths import MAX_DEPTH
from tests.support.clients import POSTGRES, needs
from tests.support.engines import ENGINES
from tests.support.file_house import FileHouse, done, file_house, path

SEEDS = int(os.environ.get("SEEDS_OF_FILES", "3"))
A_FOLDER = "this is a folder, not a file"
EXISTS = "a file or folder of this name already exists"
ENOTDIR, ENOTEMPTY, ENOENT, EINVAL = (os.strerror(each) for each in (20, 39, 2, 22))
ERRORS: dict[str, tuple[Callable[[FileHouse], Awaitable[object]], int, str]] = {
    "stat of nothing": (lambda house: house.files.stat(path("/none")), errno.ENOENT, ENOENT),
    "stat below a file": (lambda house: house.files.stat(path("/file/x")), errno.ENOTDIR, ENOTDIR),
    "open a folder": (lambda house: house.get("/folder"), errno.EISDIR, "this is a folder, not a file"),
    "open nothing": (lambda house: house.get("/none"), errno.ENOENT, ENOENT),
    "list a file": (lambda house: house.names("/file"), errno.ENOTDIR, ENOTDIR),
    "list nothing": (lambda house: house.names("/none"), errno.ENOENT, ENOENT),
    "upload to a folder": (lambda house: house.put("/folder"), errno.EISDIR, "this is a folder, not a file"),
    "upload to no folder": (lambda house: house.put("/none/x"), errno.ENOENT, ENOENT),
    "upload below a file": (lambda house: house.put("/file/x"), errno.ENOTDIR, ENOTDIR),
    "upload to /results": (lambda house: house.put("/results/x"), errno.EACCES, "/results is read-only"),
    "upload a long name": (lambda house: house.put("/" + 256 * "x"), errno.ENAMETOOLONG, os.strerror(36)),
    "remove nothing": (lambda house: house.files.remove(path("/none")), errno.ENOENT, ENOENT),
    "remove a folder as a file": (lambda house: house.files.remove(path("/folder")), errno.EISDIR, A_FOLDER),
    "remove a file as a folder": (lambda house: house.files.remove_folder(path("/file")), errno.ENOTDIR, ENOTDIR),
    "remove a full folder": (lambda house: house.files.remove_folder(path("/folder")), errno.ENOTEMPTY, ENOTEMPTY),
    "remove a fixed folder": (lambda house: house.files.remove_folder(path("/test")), errno.EACCES, "/test belongs"),
    "remove a hook's folder": (
        lambda house: house.files.remove_folder(path("/invoices")), errno.EACCES, "/invoices belongs to a hook",
    ),
    "make what is there": (lambda house: house.make_folder("/file"), errno.EEXIST, EXISTS),
    "make a fixed folder": (lambda house: house.make_folder("/results"), errno.EEXIST, EXISTS),
    "make the root": (lambda house: house.make_folder("/"), errno.EEXIST, EXISTS),
    "make in no folder": (lambda house: house.make_folder("/none/x"), errno.ENOENT, ENOENT),
    "make in /results": (lambda house: house.make_folder("/results/x"), errno.EACCES, "/results is read-only"),
    "rename nothing": (lambda house: house.rename("/none", "/x"), errno.ENOENT, ENOENT),
    "rename over a file": (lambda house: house.rename("/file", "/other"), errno.EEXIST, EXISTS),
    "rename to no folder": (lambda house: house.rename("/file", "/none/x"), errno.ENOENT, ENOENT),
    "replace a folder": (lambda house: house.rename("/file", "/folder", replace=True), errno.EISDIR, A_FOLDER),
    "a folder over a file": (lambda house: house.rename("/folder", "/file", replace=True), errno.ENOTDIR, ENOTDIR),
    "over a full folder": (lambda house: house.rename("/empty", "/folder", replace=True), errno.ENOTEMPTY, ENOTEMPTY),
    "a folder into itself": (lambda house: house.rename("/folder", "/folder/x"), errno.EINVAL, EINVAL),
    "rename the root": (lambda house: house.rename("/", "/x"), errno.EACCES, "/ cannot be replaced"),
    "rename to a folder of a hook": (lambda house: house.rename("/folder", "/test"), errno.EACCES, "/test belongs"),
    "times of nothing": (lambda house: house.files.set_times(path("/none"), (0, 0)), errno.ENOENT, ENOENT),
    "times in /results": (lambda house: house.files.set_times(path("/results/x"), (0, 0)), errno.EACCES, "/results"),
}  # fmt: skip


@pytest.fixture
async def filled(house: FileHouse) -> FileHouse:
    for folder in ("/folder", "/empty", "/folder/sub"):
        await house.make_folder(folder)
    for file in ("/file", "/other", "/folder/sub/deep"):
        await house.put(file, b"123")
    return house


async def test_what_cannot_be_done_is_told_in_the_same_words(filled: FileHouse) -> None:
    wrong = {}
    for name, (act, number, said) in ERRORS.items():
        try:
            await act(filled)
        except OSError as error:
            if error.errno != number or not str(error.strerror).startswith(said):
                wrong[name] = f"{error.errno} {error.strerror}"
        else:
            wrong[name] = "done"
    assert wrong == {}
    assert await filled.taken() == (9, 6)
    assert filled.hook.events == []


async def test_a_folder_moves_with_all_in_it(filled: FileHouse) -> None:
    await filled.rename("/folder", "/empty", replace=True)
    assert await filled.get("/empty/sub/deep") == b"123"
    assert await filled.names() == ["empty", "file", "invoices", "other", "results", "test"]
    assert await filled.taken() == (9, 5)
    await filled.rename("/empty", "/empty", replace=True)
    assert await filled.names("/empty") == ["sub"]


async def test_a_folder_does_not_bring_files_to_a_hook(tmp_path: Path, house: FileHouse) -> None:
    await house.make_folder("/folder")
    house.on = []
    await house.files.remove_folder(path("/invoices"))
    await house.put("/folder/x.csv")
    house.on = None
    with pytest.raises(OSError, match=r"."):
        await house.rename("/folder", "/invoices", replace=True)
    assert house.hook.events == []


async def test_a_tree_does_not_get_too_deep(house: FileHouse) -> None:
    deep = "".join(f"/{number}" for number in range(MAX_DEPTH - 1))
    for depth in range(1, MAX_DEPTH):
        await house.make_folder("/".join(deep.split("/")[: depth + 1]))
    for other in ("/other", "/other/more"):
        await house.make_folder(other)
    with pytest.raises(OSError, match=f"more than {MAX_DEPTH} parts; use fewer folders"):
        await house.rename("/0", "/other/more/0")
    await house.rename("/0", "/other/0")
    assert (await house.taken())[1] == MAX_DEPTH + 1


async def test_a_file_replaces_one_only_if_it_may(filled: FileHouse) -> None:
    await filled.put("/other", b"12345")
    await filled.rename("/other", "/file", replace=True)
    assert (await filled.get("/file"), await filled.taken()) == (b"12345", (8, 5))
    await filled.rename("/file", "/folder/moved")
    assert await filled.names("/folder") == ["moved", "sub"]


class Player:
    """Does the same random things to files, and tells what came of them."""

    NAMES = ("a", "b", "c", "test", "invoices", "results", "x.csv", "sync_users.csv")

    def __init__(self, house: FileHouse, seed: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self.told: list[object] = []

    def path(self) -> str:
        return "/" + "/".join(self.random.choice(self.NAMES) for _ in range(self.random.choice((1, 1, 2, 2, 3))))

    async def step(self) -> None:
        act = self.random.choice((self.put, self.put, self.append, self.rename, self.rename, self.rename, self.remove,
                                  self.make, self.make, self.unmake, self.abandon))  # fmt: skip
        one, two, length = self.path(), self.path(), self.random.randrange(30)
        replace = self.random.random() < 0.5
        try:
            done_so = await act(one, two, length, replace)
            self.told.append((act.__name__, one, two, done_so))
        except OSError as error:
            self.told.append((act.__name__, one, two, error.errno, error.strerror))
        self.told.append((await self.house.taken(), self.house.hook.events[-2:]))

    async def put(self, one: str, two: str, length: int, replace: bool) -> object:
        draft = await self.house.begin(one, exclusive=replace)
        try:
            await done(draft.write(0, b"x" * length))
        except OSError as error:
            await self.house.files.abandon(draft, str(error.strerror))
            raise
        return await self.house.files.finish(draft)

    async def append(self, one: str, two: str, length: int, replace: bool) -> object:
        draft = await self.house.begin(one, truncate=False, create=False)
        draft.append = True
        try:
            await done(draft.write(0, b"y" * length))
        except OSError:
            await self.house.files.discard(draft)
            raise
        return await self.house.files.finish(draft)

    async def abandon(self, one: str, two: str, length: int, replace: bool) -> None:
        draft = await self.house.begin(one)
        try:
            await done(draft.write(0, b"z" * length))
            await self.house.files.move_open(draft, path(two), replace=replace)
        finally:
            await self.house.files.abandon(draft, "left")

    async def rename(self, one: str, two: str, length: int, replace: bool) -> None:
        await self.house.rename(one, two, replace=replace)

    async def remove(self, one: str, two: str, length: int, replace: bool) -> None:
        await self.house.files.remove(path(one))

    async def make(self, one: str, two: str, length: int, replace: bool) -> None:
        await self.house.make_folder(one)

    async def unmake(self, one: str, two: str, length: int, replace: bool) -> None:
        await self.house.files.remove_folder(path(one))

    async def tree(self, folder: str = "/") -> dict[str, bytes | None]:
        """Return all files with their bytes, and all folders."""
        found: dict[str, bytes | None] = {}
        for name in await self.house.names(folder):
            below = f"{folder.rstrip('/')}/{name}"
            try:
                found[below] = await self.house.get(below)
            except IsADirectoryError:
                found |= {below: None, **await self.tree(below)}
        return found


@needs(POSTGRES)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_both_implementations_do_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("server.files.local.space.FEW_COPIES", 1000)  # so that local files count them exactly
    told = []
    for engine in ENGINES:
        folder = tmp_path / engine
        folder.mkdir()
        async with file_house(folder, engine, ["/invoices/*.csv"]) as house:
            house.limits = TenantLimits(quota_bytes=200, quota_files=12, max_file_bytes=28)
            player = Player(house, seed)
            for _ in range(120):
                await player.step()
            told.append([*player.told, await player.tree(), await house.states()])
    for number, (one, other) in enumerate(zip(*told, strict=True)):
        assert one == other, f"step {number // 2}"
