"""The event loop is in a hurry while a file lands at a hook's path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest

from server.loop import ServerLoop
from tests.support.sftp import sftp_house

Write = Callable[[asyncssh.SFTPClient], Awaitable[Callable[[], Awaitable[None]]]]
"""Writes a file, and returns a function that makes it land."""


async def close(sftp: asyncssh.SFTPClient) -> Callable[[], Awaitable[None]]:
    """Write to a file at the hook's path; return its close."""
    list_ = await sftp.open("sync_users.csv", "wb")
    await list_.write(b"x")
    return list_.close


async def rename(sftp: asyncssh.SFTPClient) -> Callable[[], Awaitable[None]]:
    """Write a file under another name; return its rename to the hook's path."""
    async with sftp.open("users.csv", "wb") as beside:
        await beside.write(b"x")
    return lambda: sftp.rename("users.csv", "sync_users.csv")


async def lands(
    tmp_path: Path,
    write: Write,
    refuse: str | None,
) -> dict[str, bool]:
    """Return whether the loop is in a hurry: before a landing, during it, and after it."""
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
def test_the_event_loop_hurries_while_a_file_lands_and_not_after(
    tmp_path: Path,
    write: Write,
    refuse: str | None,
) -> None:
    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        assert runner.run(lands(tmp_path, write, refuse)) == {"before": False, "landing": True, "after": False}
