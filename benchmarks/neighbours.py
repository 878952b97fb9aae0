"""What a company notices of another one's big import: its own small upload, from connect to disconnect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.arrivals import import_state
from benchmarks.figures import Figure
from benchmarks.people import write_people
from benchmarks.servers import NEIGHBOUR, headcount

SMALL_ROWS = 20
WHEN_IDLE = 40
WAITING = ("queued", "running")


def small_beside_big(folder: Path, rows: int) -> Iterator[Figure]:
    """Small uploads one after the other on an idle server, then while a big list is imported for somebody else."""
    big, small = write_people(folder / "big.csv", rows), write_people(folder / "small.csv", SMALL_ROWS)
    put = f"put {small} sync_users.csv"
    with headcount(folder / "headcount") as server:
        neighbour = replace(server, name=NEIGHBOUR)
        idle = [neighbour.sftp(put) for _ in range(WHEN_IDLE)]
        server.sftp(f"put {big} sync_users.csv")
        busy = [neighbour.sftp(put)]
        while import_state(server, 1) in WAITING:
            busy.append(neighbour.sftp(put))
    yield Figure(f"small upload while {rows:,} rows are imported", "s", busy, "idle server", idle, most=3.0)
