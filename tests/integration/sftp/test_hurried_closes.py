"""The event loop is in a hurry while a CLOSE at a hook's path is under way, and only then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh
import pytest

from server.loop import ServerLoop
from tests.support.sftp import sftp_house


async def closes(tmp_path: Path, refuse: str | None) -> dict[str, bool]:
    """Whether the loop is in a hurry: while a plain file is written and closed, in a landing, and after it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ServerLoop)
    seen = {}
    async with sftp_house(tmp_path) as house, house.client() as sftp:
        async with sftp.open("plain.csv", "wb") as plain:
            await plain.write(b"x")
        house.real.may_arrive.clear()
        house.real.refuse = refuse
        list_ = await sftp.open("sync_users.csv", "wb")
        await list_.write(b"x")
        seen["before"] = loop.hurried
        closing = asyncio.create_task(list_.close())
        await house.real.arrived.wait()
        seen["landing"] = loop.hurried
        house.real.may_arrive.set()
        if refuse:
            with pytest.raises(asyncssh.SFTPError):
                await closing
        else:
            await closing
        seen["after"] = loop.hurried
    return seen


@pytest.mark.parametrize("refuse", [None, "not now"])
def test_the_loop_hurries_while_a_file_lands_however_that_ends(tmp_path: Path, refuse: str | None) -> None:
    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        assert runner.run(closes(tmp_path, refuse)) == {"before": False, "landing": True, "after": False}
