"""A comparison of both places of a move finds whatever differs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.sqlite.store import store_file
from ground.moments import utc_now
from server.moving.checking import compare
from server.moving.folder import FolderSide
from server.moving.moving import move
from server.signing import put_secret
from server.tenants.local.home import FolderHome, open_folder
from tests.support.keypairs import public_line
from tests.support.writing import by_hand

BAN = "INSERT INTO bans VALUES ('192.0.2.1', '2099-01-01T00:00:00Z', 'connections without a login')"


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[tuple[FolderHome, FolderHome]]:
    """Yield a data folder that was moved, and its target."""
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(open_folder(tmp_path / name)) for name in ("a", "b")]
        await here.add("acme", [public_line()])
        (here.folder("acme").files / "list.csv").write_bytes(b"one")
        _run(here, BAN)
        sides = [FolderSide(here), FolderSide(there)]
        assert (await move(sides[0], sides[1], utc_now(), lambda *_: None)).differences == []
        for side in sides:
            side.close()
        yield here, there


def _run(home: FolderHome, statement: str) -> None:
    by_hand(store_file(home.root), statement)


async def change_a_byte(home: FolderHome) -> None:
    file = home.folder("acme").files / "list.csv"
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


async def change_a_row(home: FolderHome) -> None:
    _run(home, "UPDATE bans SET reason = 'another'")


async def remove_a_row(home: FolderHome) -> None:
    _run(home, "DELETE FROM bans")


async def add_a_key(home: FolderHome) -> None:
    await home.ring("acme").add(public_line(number=1), "another")


async def add_a_tenant(home: FolderHome) -> None:
    await home.add("globex", [public_line()])


async def add_a_secret(home: FolderHome) -> None:
    put_secret(home.folder("acme").webhook_secret, "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0")


async def add_host_keys(home: FolderHome) -> None:
    await home.host_keys()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (change_a_byte, "the content of list.csv of acme differs"),
        (change_a_row, "the table bans differs (1 row)"),
        (remove_a_row, "the table bans differs (1 row and 0)"),
        (add_a_key, "the keys of acme differ"),
        (add_a_tenant, "the tenants differ: globex"),
        (add_a_secret, "the secret of the webhooks of acme differ"),
        (add_host_keys, "the host keys differ"),
    ],
)
async def test_whatever_differs_is_a_difference(
    places: tuple[FolderHome, FolderHome], change: Callable[[FolderHome], Awaitable[None]], difference: str
) -> None:
    await change(places[1])
    sides = [FolderSide(home) for home in places]
    report = await compare(sides[0], sides[1])
    for side in sides:
        side.close()
    assert report.differences == [difference]
