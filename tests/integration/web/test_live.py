"""Live events where headcount.db cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.sqlite.server.hints import SqliteHints
from server.web.live import Live


@pytest.mark.logs("live_fault")
async def test_whoever_follows_what_can_not_be_read_is_told_so_by_the_end(tmp_path: Path) -> None:
    (tmp_path / "headcount.db").write_bytes(b"no database" * 1000)
    live = Live(SqliteHints(tmp_path / "headcount.db"), dict)
    assert [event async for event in live.follow("acme")] == []
    await live.close()
