"""The most memory that the server takes: with all kinds of work at once, and for files of 2 GiB.

It is the peak of the process (VmHWM). Its child processes, which read first files, are measured separately.
"""

from __future__ import annotations

import json
import os
import random
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from benchmarks.arrivals import completed
from benchmarks.child import peak_bytes, processor_s
from benchmarks.figures import MIB, Figure
from benchmarks.holds import crowd, forms, indexed, list_names
from benchmarks.people import write_people
from benchmarks.servers import NEIGHBOR, TENANT, Server, command, headcount

HUGE_BYTES = 2 * 1024**3
"""The largest file at the default settings."""

THIRD = "initech"
"""A separate company for many names, because its quota then allows no more files."""

MOST_MIB = 300
CHANGED = 0.01
OWN, IGNORED = 4, 12
"""Additional columns of a wide list: custom fields, and unknown columns."""

PIECE = 64 * MIB
LOOK_S = 0.02


def at_once(folder: Path, rows: int) -> Iterator[Figure]:
    """Measure the memory with much work at once.

    The work: big lists of two companies, one of them again; a search index; a download of users; many handshakes,
    forms and names; a file of 2 GiB up and down.
    """
    whole, changed = write_people(folder / "1.csv", rows), write_people(folder / "2.csv", rows, changed=CHANGED)
    big = _random(folder / "big")
    with headcount(folder / "headcount", (TENANT, NEIGHBOR, THIRD)) as server, _children(server) as children:
        files = folder / "headcount" / "data" / "tenants" / THIRD / "files"
        other = replace(server, name=NEIGHBOR)
        idle = peak_bytes(server.process.pid) / MIB
        server.sftp(f"put {whole} sync_users.csv")
        completed(server, 1, every_s=0.2)
        first = peak_bytes(server.process.pid) / MIB
        works: tuple[Callable[[], object], ...] = (
            lambda: _import(server, changed, 2),
            lambda: _import(other, whole, 1),
            lambda: (other.sftp(f"put {big} big"), other.sftp(f"get big {folder / 'fetched'}")),
            lambda: _download(server),
            lambda: crowd(server),
            lambda: forms(server),
            lambda: list_names(replace(server, name=THIRD), files / "many"),
            lambda: indexed(server),
        )
        with ThreadPoolExecutor(len(works)) as pool:
            for work in [pool.submit(work) for work in works]:
                work.result()
        peak = peak_bytes(server.process.pid) / MIB
    what = f"most memory of the server, {rows:,} rows"
    yield Figure(what, "MiB", [first], "idle", [idle], most=MOST_MIB, absolute=True)
    yield Figure("the same, with everything at once", "MiB", [peak], "idle", [idle], most=MOST_MIB, absolute=True)
    yield Figure("most memory of a process beside it", "MiB", [children.most_bytes / MIB])


def huge_files(folder: Path, rows: int) -> Iterator[Figure]:
    """Measure a list of 2 GiB, first and again, and a file of 2 GiB up and down."""
    wide = _wide(folder / "wide.csv", rows)
    again = _wide(folder / "again.csv", rows, changed=CHANGED)
    with headcount(folder / "headcount") as server, _children(server) as children:
        fields = [{"key": f"own_{number}", "type": "text"} for number in range(OWN)]
        command(server.folder, "tenant", "set", TENANT, f"custom_fields={json.dumps(fields)}")
        idle = peak_bytes(server.process.pid) / MIB
        for number, (what, file) in enumerate((("first", wide), ("again, 1% changed", again)), start=1):
            size = f"{os.path.getsize(file) / 1024**3:.2f} GiB of {rows:,} rows, {what}"
            worked, start = processor_s(server.process.pid), perf_counter()
            server.sftp(f"put {file} sync_users.csv")
            sent = perf_counter() - start
            completed(server, number, every_s=0.2)
            yield Figure(f"upload at /sync_users.csv: {size}", "s", [sent])
            yield Figure("the same, and its import", "s", [perf_counter() - start])
            yield Figure("the same, processor time", "s", [processor_s(server.process.pid) - worked])
            peak = peak_bytes(server.process.pid) / MIB
            yield Figure("most memory until then", "MiB", [peak], "idle", [idle], most=MOST_MIB, absolute=True)
            file.unlink()
    yield Figure("most memory of a process beside it", "MiB", [children.most_bytes / MIB])
    big = _random(folder / "big")
    with headcount(folder / "transfers") as server:
        up, down = server.sftp(f"put {big} big"), server.sftp(f"get big {folder / 'fetched'}")
        peak = peak_bytes(server.process.pid) / MIB
    yield Figure("upload of 2 GiB", "s", [up])
    yield Figure("download of 2 GiB", "s", [down])
    yield Figure("most memory until then", "MiB", [peak], "idle", [idle], most=MOST_MIB, absolute=True)


def _import(server: Server, file: Path, number: int) -> None:
    server.sftp(f"put {file} sync_users.csv")
    completed(server, number, every_s=0.2)


def _download(server: Server) -> None:
    """Download all users of a company as fast as possible."""
    where = f"{server.http}/api/v1/tenants/{TENANT}/users.jsonl"
    asked = urllib.request.Request(where, headers={"Authorization": f"Bearer {server.token}"})
    with urllib.request.urlopen(asked) as answer:
        while answer.read(64 * 1024):
            pass


@dataclass(slots=True)
class _Most:
    most_bytes: int = 0


@contextmanager
def _children(server: Server) -> Iterator[_Most]:
    """Record the most memory that a child process of the server held."""
    most, ended = _Most(), threading.Event()
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")

    def look() -> None:
        tasks, own = listed.parents[1], _program(server.process.pid)
        while not ended.wait(LOOK_S):
            with suppress(OSError, ValueError, IndexError):  # one may end meanwhile
                for task in tasks.iterdir():  # a process is the child of the thread that started it
                    for child in (task / "children").read_text().split():
                        if _program(child) == own:
                            continue  # it shares the server's memory until it starts its own program
                        most.most_bytes = max(most.most_bytes, peak_bytes(child))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        ended.set()
        looking.join()


def _program(process: int | str) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def _random(path: Path) -> Path:
    """Write a file of HUGE_BYTES that cannot be compressed as a whole."""
    piece = os.urandom(PIECE)
    with path.open("wb") as file:
        for _ in range(HUGE_BYTES // PIECE):
            file.write(piece)
    return path


def _wide(path: Path, rows: int, *, changed: float = 0.0) -> Path:
    """Write a list of at most HUGE_BYTES: plain rows with additional columns of text that fill it."""
    plain = write_people(path.with_suffix(".plain"), rows, changed=changed)
    more = HUGE_BYTES - plain.stat().st_size
    text = random.Random(1).randbytes(4096).hex()
    width = max(1, more // rows // (OWN + IGNORED) - 1)
    names = [*(f"own_{number}" for number in range(OWN)), *(f"note_{number}" for number in range(IGNORED))]
    with plain.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as file:
        file.write(f"{next(lines).rstrip()},{','.join(names)}\n")
        for number, line in enumerate(lines):
            at = number % width
            cells = [text[at + place : at + place + width] for place in range(len(names))]
            file.write(f"{line.rstrip()},{','.join(cells)}\n")
    plain.unlink()
    return path
