"""How the imports and downloads of other companies slow down a company's small upload, from connect to disconnect."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.arrivals import completed, import_state
from benchmarks.figures import Figure
from benchmarks.imports import CHANGED
from benchmarks.people import write_people
from benchmarks.servers import NEIGHBOR, TENANT, Server, headcount, stopping

SMALL_ROWS = 20
WHEN_IDLE = 40
WHEN_BUSY = 100
WAITING = ("queued", "running")
SLOW_READERS = 20
"""Browsers that do not read the answers to their requests."""


def small_beside_big(folder: Path, rows: int) -> Iterator[Figure]:
    """Measure small uploads, one by one, on an idle server and while a big list of another tenant is imported.

    The list is imported first, and then again with 1% changed until there are at least 100 uploads.
    """
    big, small = write_people(folder / "big.csv", rows), write_people(folder / "small.csv", SMALL_ROWS)
    changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
    put = f"put {small} sync_users.csv"
    with headcount(folder / "headcount") as server:
        neighbor = replace(server, name=NEIGHBOR)
        idle = [neighbor.sftp(put) for _ in range(WHEN_IDLE)]
        numbers = count(1)
        first = list(_meanwhile(server, neighbor, put, big, next(numbers)))
        again: list[float] = []
        while len(again) < WHEN_IDLE or len(first) + len(again) < WHEN_BUSY:
            again += _meanwhile(server, neighbor, put, changed, next(numbers))
            again += _meanwhile(server, neighbor, put, big, next(numbers))
    for what, busy in ((f"{rows:,} rows are imported", first), ("they are again, 1% changed", again)):
        yield Figure(f"small upload while {what}", "s", busy, "idle server", idle, most=1.5)
    worst = [max(first + again)]
    yield Figure(f"the worst of {len(first) + len(again)}", "s", worst, "idle server", idle, most=5.0)


def _meanwhile(server: Server, neighbor: Server, put: str, big: Path, number: int) -> Iterator[float]:
    """Yield the time of each upload that begins while `big`, import `number`, is queued or running; at least one."""
    server.sftp(f"put {big} sync_users.csv")
    yield neighbor.sftp(put)
    while import_state(server, number) in WAITING:
        yield neighbor.sftp(put)


def small_beside_readers(folder: Path, rows: int) -> Iterator[Figure]:
    """Measure small uploads on an idle server, beside browsers that do not read, and during big downloads."""
    big, small = write_people(folder / "big.csv", rows), write_people(folder / "small.csv", SMALL_ROWS)
    put = f"put {small} sync_users.csv"
    with headcount(folder / "headcount") as server:
        server.sftp(f"put {big} sync_users.csv")
        completed(server, 1, every_s=0.2)
        neighbor = replace(server, name=NEIGHBOR)
        idle = [neighbor.sftp(put) for _ in range(WHEN_IDLE)]
        with ExitStack() as readers:
            for _ in range(SLOW_READERS):
                readers.enter_context(_asking(server, "users.jsonl"))
            slow = [neighbor.sftp(put) for _ in range(WHEN_IDLE)]
        with stopping(_downloading(server, "users.jsonl")):
            fast = [neighbor.sftp(put) for _ in range(WHEN_IDLE)]
    yield Figure(f"small upload beside {SLOW_READERS} browsers that do not read on", "s", slow, "idle server", idle)
    yield Figure(f"small upload while {rows:,} users are downloaded", "s", fast, "idle server", idle)


@contextmanager
def _asking(server: Server, what: str) -> Iterator[None]:
    """Keep open a request for a download without reading the answer."""
    where = urlsplit(server.http)
    with socket.create_connection((where.hostname, where.port)) as connection:
        request = f"GET {_path(what)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        connection.sendall(request.encode())
        yield


def _downloading(server: Server, what: str) -> subprocess.Popen[bytes]:
    """Start a process that downloads again and again, as fast as possible."""
    script = (
        "import sys, urllib.request\n"
        "request = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})\n"
        "while True:\n"
        "    with urllib.request.urlopen(request) as answer:\n"
        "        while answer.read(65536): pass\n"
    )
    return subprocess.Popen([sys.executable, "-c", script, server.http + _path(what), server.token])


def _path(what: str) -> str:
    return f"/api/v1/tenants/{TENANT}/{what}"
