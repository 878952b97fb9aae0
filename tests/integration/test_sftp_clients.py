"""Real clients against the real listener: what each does every day works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clients import needs
from tests.support.sftp import SftpHouse

CONTENT = b"first_name,last_name,email\n" + b"Ada,Lovelace,ada@example.org\n" * 5_000


@pytest.fixture
def local(house: SftpHouse) -> Path:
    path = house.work / "local.csv"
    path.write_bytes(CONTENT)
    return path


@needs("sftp")
async def test_openssh_puts_a_file_that_lands_at_the_hook_once(house: SftpHouse, local: Path) -> None:
    status, said = await house.sftp(f"put {local} sync_users.csv")
    assert status == 0, said
    assert house.visible.read_bytes() == CONTENT
    assert house.real.events == ["arriving", "landed"]
    assert house.real.last.origin == "close"
    assert house.real.last.size == len(CONTENT)
    written = house.real.last.written
    assert written is not None
    assert not written.foreign
    assert not written.ends_full
    assert house.real.copies[0].read_bytes() == CONTENT
