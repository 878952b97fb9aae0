"""No path in any spelling, and no link of any origin, leads out of the tenant's folder."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_READ, FXF_TRUNC, FXF_WRITE

from tests.support.sftp import SftpHouse
from tests.support.waiting import DEADLINE_S

on_a_disk = pytest.mark.only_on("sqlite", "no other engine has links, or folders around those of a tenant")

SECRET = b"root:x:not for you"

LINKS = {
    "to_file": "../secret",
    "to_folder": "..",
    "to_other_tenant": "../../globex/files",
    "to_passwd": "/etc/passwd",
    "to_root": "/",
    "to_proc": "/proc/self/root",
    "to_cwd": "/proc/self/cwd",
    "to_itself": "to_itself",
    "to_nothing": "../made",
    "to_staging": "../staging",
    "inner/to_above": "../..",
    "inner/to_link": "../to_folder",
    "test/to_file": "../../secret",
    "inside": "plain",
}
"""Links that an operator or a restored backup may have put into the folder."""

SPELLINGS = [
    "../secret", "../../secret", "../../../secret", "/../secret", "/..//secret", "/./../secret", "//../secret",
    "inner/../../secret", "inner/../../../../secret", "plain/../../secret", "missing/../../secret",
    "..", "../", "/..", "../..", "/../..", "inner/../..", "./..", "../.", ".../secret", ".. /secret", "..\t/secret",
    "../globex/files/secret", "../../globex/files/secret", "../acme-two/secret", "/../users.db", "/../keys.json",
    "%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret", "..%252fsecret", "..%c0%afsecret", "%c0%ae%c0%ae/secret",
    "..\\secret", "..\\..\\secret", "\\..\\secret", "C:\\secret", "\\\\host\\secret", "..;/secret", "file:///etc/passwd",
    "~/secret", "~root/secret", "$HOME/secret", "`id`", "-rf", "*", "?", "secret\n",
    "\u2025/secret", "\uff0e\uff0e/secret", "\u2024\u2024/secret",
    "..\u2215secret", "..\uff0fsecret", "..\u200b/secret", "\u202e../secret",
    "/etc/passwd", "//etc/passwd", "/proc/self/root/etc/passwd", "/proc/self/cwd", "/proc/1/environ", "/dev/null",
    "/dev/stdin", "/dev/fd/0", "a" * 255, "a" * 256, "a/" * 60 + "b", "a/" * 100 + "b", "../" * 1000 + "secret",
    "/" * 4096, "/" * 5000, "x" * 5000, "../" * 20 + "etc/passwd",
]  # fmt: skip
THROUGH = [f"{link}{rest}" for link in LINKS for rest in ("", "/", "/secret", "/../secret", "/etc/passwd", "/new")]
RAW = [
    b"../secret\0", b"..\0/secret", b"\0", b"to_file\0.csv", b"\xc0\xae\xc0\xae/secret", b"\xc0\xae./secret",
    b"..\xc0\xafsecret", b"\xe0\x80\xae\xe0\x80\xae/secret", b"\xff\xfe", b"..\x01/secret", b"\x7f", b"",
]  # fmt: skip
PATHS = [each.encode() for each in SPELLINGS + THROUGH] + RAW


@pytest.fixture
def outside(house: SftpHouse) -> list[Path]:
    """Folders around the tenant's folder that hold a secret and must not change."""
    data = house.tenants.data_dir
    places = [data, data / "tenants", house.folder.root, data / "tenants" / "globex" / "files", house.work]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / "secret").write_bytes(SECRET)
    plant(house)
    return places


def plant(house: SftpHouse) -> None:
    """Make the links and their targets again."""
    for folder in ("inner", "test"):
        (house.files / folder).mkdir(exist_ok=True)
    house.publish("plain", b"plain")
    for link, target in LINKS.items():
        path = house.files / link
        if not path.is_symlink():
            path.unlink(missing_ok=True) if not path.is_dir() else path.rmdir()
            path.symlink_to(target)


def picture(places: list[Path]) -> dict[str, Any]:
    """Return everything outside as a value, except files that the server's databases change."""
    seen: dict[str, Any] = {}
    for place in places:
        names = sorted(name for name in os.listdir(place) if ".db" not in name)
        info = (place / "secret").stat()
        seen[str(place)] = (
            names, (place / "secret").read_bytes(), info.st_mode, info.st_nlink, info.st_mtime_ns, info.st_uid,
        )  # fmt: skip
    return seen


async def read_all(sftp: Any, path: bytes) -> None:
    handle = await sftp._handler.open(path, FXF_READ, asyncssh.SFTPAttrs())
    with suppress(asyncssh.SFTPEOFError):
        data, _ = await sftp._handler.read(handle, 0, 4096)
        assert SECRET not in data
        assert not data.startswith(b"root:")
    await sftp._handler.close(handle)


async def write_with(sftp: Any, path: bytes, flags: int) -> None:
    handle = await sftp._handler.open(path, flags, asyncssh.SFTPAttrs(permissions=0o777))
    await sftp._handler.write(handle, 0, b"overwritten")
    await sftp._handler.close(handle)


async def list_all(sftp: Any, path: bytes) -> None:
    names = {name.filename for name in await sftp.readdir(path)}
    assert not names & {b"users.db", b"keys.json", b"staging", b"etc", b"acme", "users.db", "etc"}


async def look(sftp: Any, path: bytes) -> None:
    assert (await sftp.stat(path)).size != len(SECRET)


async def move_out(sftp: Any, path: bytes) -> None:
    await sftp.posix_rename(b"plain", path)


async def move_in(sftp: Any, path: bytes) -> None:
    await sftp.posix_rename(path, b"stolen")
    await read_all(sftp, b"stolen")


async def link_to(sftp: Any, path: bytes) -> None:
    with pytest.raises(asyncssh.SFTPError):
        await sftp.symlink(path, b"made_link")
    with pytest.raises(asyncssh.SFTPError):
        await sftp.link(path, b"made_link")
    with pytest.raises(asyncssh.SFTPError):
        await sftp.symlink(b"plain", path)
    await sftp.link(b"plain", path)


OPERATIONS: dict[str, Callable[[Any, bytes], Awaitable[Any]]] = {
    "read": read_all,
    "write": lambda sftp, path: write_with(sftp, path, FXF_WRITE | FXF_CREAT | FXF_TRUNC),
    "write in place": lambda sftp, path: write_with(sftp, path, FXF_WRITE),
    "append": lambda sftp, path: write_with(sftp, path, FXF_APPEND | FXF_CREAT),
    "list": list_all,
    "stat": look,
    "lstat": lambda sftp, path: sftp.lstat(path),
    "readlink": lambda sftp, path: sftp.readlink(path),
    "chmod": lambda sftp, path: sftp.chmod(path, 0o4777),
    "chown": lambda sftp, path: sftp.chown(path, 0, 0),
    "utime": lambda sftp, path: sftp.utime(path, (1, 1)),
    "truncate": lambda sftp, path: sftp.truncate(path, 3),
    "mkdir": lambda sftp, path: sftp.mkdir(path),
    "rmdir": lambda sftp, path: sftp.rmdir(path),
    "remove": lambda sftp, path: sftp.remove(path),
    "rename out": move_out,
    "rename in": move_in,
    "link": link_to,
    "statvfs": lambda sftp, path: sftp.statvfs(path),
}


def test_the_list_has_as_many_cases_as_promised() -> None:
    assert len(set(PATHS)) >= 160


@on_a_disk
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_operation_reads_or_changes_anything_outside_the_folder(
    house: SftpHouse, outside: list[Path], operation: str
) -> None:
    before = picture(outside)
    async with house.client() as sftp:
        for path in PATHS:
            with suppress(asyncssh.SFTPError):
                await OPERATIONS[operation](sftp, path)
            assert picture(outside) == before, path
            plant(house)
    assert not any(path.is_symlink() for path in house.files.rglob("*") if path.name in ("made_link", "stolen"))


@pytest.mark.only_on("postgres", "on a disk, the test above has more")
async def test_no_path_in_a_database_leads_to_another_tenant(house: SftpHouse) -> None:
    await house.tenants.add("globex")
    for path in ("secret", "globex/files/secret"):
        house.stored.publish("globex", path, SECRET)
    before = house.stored.counted("globex")
    scratch = sorted(os.listdir(house.folder.root.parent))
    upwards = [each for each in [each.encode() for each in SPELLINGS] + RAW if b".." in each or each.startswith(b"/")]
    async with house.client() as sftp:
        await sftp.mkdir("inner")
        for name in ("list", "stat", "read", "write", "rename in", "rename out", "mkdir", "remove"):
            for tried in upwards:
                with suppress(asyncssh.SFTPError):
                    await OPERATIONS[name](sftp, tried)
                if name == "rename out":
                    await write_with(sftp, b"plain", FXF_WRITE | FXF_CREAT | FXF_TRUNC)
    assert house.stored.counted("globex") == before
    assert house.stored.visible("globex", "secret") == house.stored.visible("globex", "globex/files/secret") == SECRET
    assert sorted(os.listdir(house.folder.root.parent)) == scratch


@pytest.mark.parametrize("path", ["", ".", "..", "/", "/..", "../../..", "a/../..", "//", "./."])
async def test_every_way_up_ends_at_the_root(house: SftpHouse, path: str) -> None:
    async with house.client() as sftp:
        assert await sftp.realpath(path) == "/"
        assert {"results", "test"} <= set(await sftp.listdir(path))


@on_a_disk
@pytest.mark.parametrize("link", ["to_file", "to_folder", "to_root", "inside", "inner/to_above"])
async def test_a_link_is_never_followed_but_may_be_removed(house: SftpHouse, outside: list[Path], link: str) -> None:
    async with house.client() as sftp:
        for refused in (sftp.stat(link), sftp.readlink(link), sftp.listdir(link), sftp.open(link, "rb")):
            with pytest.raises(asyncssh.SFTPError):
                await refused
        with pytest.raises(asyncssh.SFTPError):
            await sftp.rename(link, "elsewhere")
        await sftp.remove(link)
    assert not (house.files / link).is_symlink()


@on_a_disk
async def test_only_regular_files_are_opened(house: SftpHouse) -> None:
    os.mkfifo(house.files / "fifo")
    async with house.client() as sftp:
        for mode in ("rb", "wb", "ab"):
            with pytest.raises(asyncssh.SFTPError):
                await asyncio.wait_for(sftp.open("fifo", mode), DEADLINE_S)


@on_a_disk
async def test_a_folder_that_becomes_a_link_during_a_walk_leads_nowhere(
    house: SftpHouse, outside: list[Path]
) -> None:
    before = picture(outside)
    swapped, stop = house.files / "swapped", threading.Event()
    aside = house.files / "aside"
    swapped.mkdir()
    (swapped / "secret").write_bytes(b"mine")

    def swap() -> None:
        while not stop.is_set():
            os.rename(swapped, aside)
            os.symlink("..", swapped)
            os.unlink(swapped)
            os.rename(aside, swapped)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        async with house.client() as sftp:
            for number in range(300):
                with suppress(asyncssh.SFTPError):
                    await read_all(sftp, b"swapped/secret")
                with suppress(asyncssh.SFTPError):
                    await write_with(sftp, b"swapped/%d" % number, FXF_WRITE | FXF_CREAT)
                with suppress(asyncssh.SFTPError):
                    await list_all(sftp, b"swapped")
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)
    assert picture(outside) == before
