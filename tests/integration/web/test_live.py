"""Live events if headcount.db cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.sqlite.server.hints import SqliteHints
from server.web.live import Live

pytestmark = pytest.mark.only_on("sqlite", "it is about files of the engine")


@pytest.mark.logs("live_fault")
async def test_live_events_end_if_the_database_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "headcount.db").write_bytes(b"no database" * 1000)
    live = Live(SqliteHints(tmp_path / "headcount.db"), dict)
    assert [event async for event in live.follow("acme")] == []
    await live.close()
