"""Time and processor time from the client's last byte to `completed`, in the real server process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import asyncssh

from benchmarks.child import Measured, measure, peak_bytes, processor_s
from benchmarks.figures import MIB, Figure
from benchmarks.imports import CHANGED, FLOOR
from benchmarks.people import write_people
from benchmarks.servers import TENANT, Server, headcount, until

QUICK_ROWS = 10_000
FEW_ROWS = 200
BLOCK = 32 * 1024
SETTLE_S = 1.0
IMPORT_S = 600.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One file. `seconds` is from sending its last block until its import is `completed` in the database.

    `worked` is the processor time of the server for it.
    """

    seconds: float
    worked: float


def quick(folder: Path, runs: int) -> Iterator[Figure]:
    """Measure a company of 10,000 (its first list, the list with 1% changed, 200 rows of it) and one of 200."""
    many, few = _Lists(folder, QUICK_ROWS), _Lists(folder, FEW_ROWS)
    some = _last_rows(many.whole, folder / "some.csv")  # 1% of them differ from the newest list, `changed`
    found: dict[str, list[Arrival]] = {}
    floor: dict[str, list[Measured]] = {}
    for turn in range(runs):
        for lists, more in ((many, {"some": some}), (few, {})):
            files = {f"first {lists.rows}": lists.whole, f"again {lists.rows}": lists.changed, **more}
            with headcount(folder / f"turn-{turn}-{lists.rows}") as server:
                for number, (name, file) in enumerate(files.items(), start=1):
                    found.setdefault(name, []).append(asyncio.run(_send_and_wait(server, file, number)))
            done = measure("insert", lists.whole, folder / f"floor-{turn}-{lists.rows}.db")
            floor.setdefault(str(lists.rows), []).append(done)
    for name, what, beside, seconds, times in (
        (f"first {QUICK_ROWS}", f"{QUICK_ROWS:,} rows", QUICK_ROWS, 0.25, 4.0),
        (f"again {QUICK_ROWS}", f"{QUICK_ROWS:,} rows, 1% changed", QUICK_ROWS, 0.1, 1.5),
        (f"first {FEW_ROWS}", f"{FEW_ROWS} rows", FEW_ROWS, 0.03, None),
        (f"again {FEW_ROWS}", f"{FEW_ROWS} rows, 1% changed", FEW_ROWS, 0.03, None),
        ("some", f"{FEW_ROWS} rows of {QUICK_ROWS:,} users, 1% changed", FEW_ROWS, 0.03, None),
    ):
        yield from _figures(f"{what}, last byte to completed", found[name], floor[str(beside)], seconds, times)


class _Lists:
    """The list of a company, and the list with 1% changed."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.rows = rows
        self.whole = write_people(folder / f"{rows}.csv", rows)
        self.changed = write_people(folder / f"{rows}-changed.csv", rows, changed=CHANGED)


def _figures(
    what: str, found: Sequence[Arrival], floor: Sequence[Measured], seconds: float, times: float | None
) -> Iterator[Figure]:
    """Yield the time of a file against a limit and against the floor, and its processor time."""
    took = [each.seconds for each in found]
    yield Figure(what, "s", took, most=seconds, absolute=True)
    yield Figure("the same, beside the floor", "s", took, FLOOR, [each.seconds for each in floor], most=times)
    worked = [each.worked for each in found]
    yield Figure("the same, processor time", "s", worked, FLOOR, [each.cpu_seconds for each in floor])


def _last_rows(whole: Path, file: Path) -> Path:
    """Write the header and the last FEW_ROWS rows of `whole` as `file`."""
    header, *rows = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([header, *rows[-FEW_ROWS:]]), encoding="utf-8")
    return file


def memory(folder: Path, rows: int) -> Iterator[Figure]:
    """Measure the most memory of the server's process while it imports a big list twice, the second time changed."""
    whole = write_people(folder / "people.csv", rows)
    changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
    with headcount(folder / "headcount") as server:
        idle = peak_bytes(server.process.pid) / MIB
        peaks = []
        for number, file in enumerate((whole, changed), start=1):
            server.sftp(f"put {file} sync_users.csv")
            completed(server, number, every_s=0.2)
            peaks.append(peak_bytes(server.process.pid) / MIB)
    yield Figure(f"memory of the server, {rows:,} rows", "MiB", [max(peaks)], "idle", [idle], most=300, absolute=True)


async def _send_and_wait(server: Server, file: Path, number: int) -> Arrival:
    """Send `file`, and wait for the import of this `number`."""
    data = file.read_bytes()
    end = (len(data) - 1) // BLOCK * BLOCK
    key = str(server.folder / "key")
    async with (
        asyncssh.connect("127.0.0.1", server.port, username=TENANT, client_keys=[key], known_hosts=None, config=None,
                         agent_path=None) as connection,
        connection.start_sftp_client() as sftp,
    ):  # fmt: skip
        remote = await sftp.open("sync_users.csv", "wb")
        await remote.write(data[:end])
        await asyncio.sleep(SETTLE_S)  # the work of a login is not measured
        before, start = processor_s(server.process.pid), perf_counter()
        await remote.write(data[end:], end)
        await remote.close()
        await asyncio.to_thread(completed, server, number, every_s=0.001)
        return Arrival(perf_counter() - start, processor_s(server.process.pid) - before)


def import_state(server: Server, number: int) -> str | None:
    """Return the state of the client's import `number` as another process sees it; None if it does not exist."""
    with _reading(server) as db:
        return _state(db, server.name, number)


def completed(server: Server, number: int, *, every_s: float) -> None:
    """Wait until import `number` of the client has ended, and raise unless it was applied."""
    with _reading(server) as db:
        state = until(lambda: _ended(_state(db, server.name, number)), server.process, IMPORT_S, every_s)
    if state != "completed":
        raise RuntimeError(f"import {number} ended {state}")


def _reading(server: Server) -> closing[sqlite3.Connection]:
    database = (server.folder / "data" / "headcount.db").as_uri() + "?mode=ro"
    return closing(sqlite3.connect(database, uri=True, isolation_level=None))


def _state(db: sqlite3.Connection, tenant: str, number: int) -> str | None:
    row = db.execute("SELECT state FROM imports WHERE tenant = ? AND id = ?", (tenant, number)).fetchone()
    return None if row is None else str(row[0])


def _ended(state: str | None) -> str | None:
    return None if state in (None, "arriving", "queued", "running") else state
