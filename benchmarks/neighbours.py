"""What a company notices of others in its own small upload, from connect to disconnect: imports, and downloads."""

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
from benchmarks.servers import NEIGHBOUR, TENANT, Server, headcount, stopping

SMALL_ROWS = 20
WHEN_IDLE = 40
WHEN_BUSY = 100
WAITING = ("queued", "running")
SLOW_READERS = 20
"""Browsers that take nothing of what they asked for."""


def small_beside_big(folder: Path, rows: int) -> Iterator[Figure]:
    """Small uploads one after the other on an idle server, then while a big list is imported for another tenant: its
    first, and the same with 1% changed, again and again until there are a hundred.
    """
    big, small = write_people(folder / "big.csv", rows), write_people(folder / "small.csv", SMALL_ROWS)
    changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
    put = f"put {small} sync_users.csv"
    with headcount(folder / "headcount") as server:
        neighbour = replace(server, name=NEIGHBOUR)
        idle = [neighbour.sftp(put) for _ in range(WHEN_IDLE)]
        numbers = count(1)
        first = list(_meanwhile(server, neighbour, put, big, next(numbers)))
        again: list[float] = []
        while len(again) < WHEN_IDLE or len(first) + len(again) < WHEN_BUSY:
            again += _meanwhile(server, neighbour, put, changed, next(numbers))
            again += _meanwhile(server, neighbour, put, big, next(numbers))
    for what, busy in ((f"{rows:,} rows are imported", first), ("they are again, 1% changed", again)):
        yield Figure(f"small upload while {what}", "s", busy, "idle server", idle, most=1.5)
    worst = [max(first + again)]
    yield Figure(f"the worst of {len(first) + len(again)}", "s", worst, "idle server", idle, most=5.0)


def _meanwhile(server: Server, neighbour: Server, put: str, big: Path, number: int) -> Iterator[float]:
    """What each upload takes that begins while `big` waits or is imported, as import `number`; at least one."""
    server.sftp(f"put {big} sync_users.csv")
    yield neighbour.sftp(put)
    while import_state(server, number) in WAITING:
        yield neighbour.sftp(put)


def small_beside_readers(folder: Path, rows: int) -> Iterator[Figure]:
    """Small uploads on an idle server, beside slow browsers, and while somebody downloads a big list."""
    big, small = write_people(folder / "big.csv", rows), write_people(folder / "small.csv", SMALL_ROWS)
    put = f"put {small} sync_users.csv"
    with headcount(folder / "headcount") as server:
        server.sftp(f"put {big} sync_users.csv")
        completed(server, 1, every_s=0.2)
        neighbour = replace(server, name=NEIGHBOUR)
        idle = [neighbour.sftp(put) for _ in range(WHEN_IDLE)]
        with ExitStack() as readers:
            for _ in range(SLOW_READERS):
                readers.enter_context(_asking(server, "users.jsonl"))
            slow = [neighbour.sftp(put) for _ in range(WHEN_IDLE)]
        with stopping(_downloading(server, "users.jsonl")):
            fast = [neighbour.sftp(put) for _ in range(WHEN_IDLE)]
    yield Figure(f"small upload beside {SLOW_READERS} browsers that don't read on", "s", slow, "idle server", idle)
    yield Figure(f"small upload while {rows:,} users are downloaded", "s", fast, "idle server", idle)


@contextmanager
def _asking(server: Server, what: str) -> Iterator[None]:
    """Somebody who asks for a download and reads nothing of it."""
    where = urlsplit(server.http)
    with socket.create_connection((where.hostname, where.port)) as connection:
        request = f"GET {_path(what)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        connection.sendall(request.encode())
        yield


def _downloading(server: Server, what: str) -> subprocess.Popen[bytes]:
    """Somebody who downloads as fast as it goes, again and again."""
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
