"""While a file lands at a hook's path the event loop is in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest

from server.loop import ServerLoop
from tests.support.sftp import sftp_house

Write = Callable[[asyncssh.SFTPClient], Awaitable[Callable[[], Awaitable[None]]]]
"""Writes a file; returns what makes it land."""


async def close(sftp: asyncssh.SFTPClient) -> Callable[[], Awaitable[None]]:
    """A file at the hook's path, open and written; what closes it."""
    list_ = await sftp.open("sync_users.csv", "wb")
    await list_.write(b"x")
    return list_.close


async def rename(sftp: asyncssh.SFTPClient) -> Callable[[], Awaitable[None]]:
    """A file beside the hook's path; what renames it."""
    async with sftp.open("users.csv", "wb") as beside:
        await beside.write(b"x")
    return lambda: sftp.rename("users.csv", "sync_users.csv")


async def lands(
    tmp_path: Path,
    write: Write,
    refuse: str | None,
) -> dict[str, bool]:
    """Whether the loop is in a hurry: while files are written, in a landing, and after it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ServerLoop)
    seen = {}
    async with sftp_house(tmp_path) as house, house.client() as sftp:
        house.real.may_arrive.clear()
        house.real.refuse = refuse
        land = await write(sftp)
        seen["before"] = loop.hurried
        landing = asyncio.ensure_future(land())
        await house.real.arrived.wait()
        seen["landing"] = loop.hurried
        house.real.may_arrive.set()
        if refuse:
            with pytest.raises(asyncssh.SFTPError):
                await landing
        else:
            await landing
        seen["after"] = loop.hurried
    return seen


@pytest.mark.parametrize("refuse", [None, "not now"])
@pytest.mark.parametrize("write", [close, rename])
def test_the_loop_hurries_while_a_file_lands_however_that_ends(
    tmp_path: Path,
    write: Write,
    refuse: str | None,
) -> None:
    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        assert runner.run(lands(tmp_path, write, refuse)) == {"before": False, "landing": True, "after": False}
