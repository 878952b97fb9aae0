"""The longest that one step held the event loop of the real server: nobody else is served meanwhile.

Beside it stands the same of a process that does nothing but look at the clock, in the same time: where that is long,
the machine held both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.arrivals import completed
from benchmarks.figures import Figure
from benchmarks.people import write_people
from benchmarks.servers import NEIGHBOUR, Server, headcount, stopping

NAMES = 100_000
FORM_PARTS = 18_000
"""As many as the longest form that is read has room for."""

HANDSHAKES = 100
AT_A_TIME = 8
MOST_S = 0.02
INDEX_S = 60.0
LOOKS_S = 0.001


def longest_holds(folder: Path, rows: int) -> Iterator[Figure]:
    """While a big list is imported and indexed, many names listed, a huge form sent, and a crowd shakes hands."""
    big = write_people(folder / "big.csv", rows)
    with headcount(folder / "headcount", watched=True) as server:
        files = folder / "headcount" / "data" / "tenants" / NEIGHBOUR / "files" / "many"
        urllib.request.urlopen(f"{server.http}/sign-in").close()  # the first page of a process is no measure
        works: list[tuple[str, Callable[[], object]]] = [
            ("a crowd of handshakes", lambda: _crowd(server)),
            (f"a form of {FORM_PARTS:,} parts", lambda: _form(server)),
            (f"{NAMES:,} names listed", lambda: _list(server, files)),
            (f"{rows:,} rows imported", lambda: _import(server, big)),
            ("their search index made", lambda: time.sleep(min(INDEX_S, rows / 20_000))),
        ]
        for what, work in works:
            held, worked, idle = _held_by(server, folder, work)
            what = f"longest hold of the loop: {what}"
            yield Figure(what, "s", [held], "idle loop", [idle], most=MOST_S, absolute=True)
            yield Figure("the most processor time of one step", "s", [worked], most=MOST_S, absolute=True)


def _held_by(server: Server, folder: Path, work: Callable[[], object]) -> tuple[float, float, float]:
    """The longest step, the most processor time of one, and the longest that the idle loop was held meanwhile."""
    start = time.time()
    with _idle(folder / "idle") as idle:
        work()
    notes = [json.loads(line) for line in (server.folder / "held.jsonl").read_text().splitlines()]
    steps = sorted((note["held_s"], note["cpu_s"], note["what"]) for note in notes if note["at"] >= start)
    for step in steps[-3:] + sorted(steps, key=lambda each: each[1])[-3:]:
        print(step, file=sys.stderr)
    held, worked = (max((step[which] for step in steps), default=0.0) for which in (0, 1))
    return held, worked, float(idle.read_text())


@contextmanager
def _idle(path: Path) -> Iterator[Path]:
    """A loop that does nothing; the longest it was held is in the file afterwards."""
    script = (
        "import signal, sys, time\n"
        "ended = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: ended.append(1))\n"
        "longest, last = 0.0, time.perf_counter()\n"
        "while not ended:\n"
        f"    time.sleep({LOOKS_S})\n"
        "    now = time.perf_counter()\n"
        f"    longest, last = max(longest, now - last - {LOOKS_S}), now\n"
        "open(sys.argv[1], 'w').write(str(longest))\n"
    )
    with stopping(subprocess.Popen([sys.executable, "-c", script, str(path)])):
        time.sleep(0.2)
        yield path


def _crowd(server: Server) -> None:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda _: server.sftp("pwd"), range(HANDSHAKES)))


def _form(server: Server) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    request = urllib.request.Request(
        f"{server.http}/sign-in",
        part * FORM_PARTS + b"--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x", "Origin": server.http},
    )
    try:
        urllib.request.urlopen(request).close()
    except OSError as refused:
        print(refused, file=sys.stderr)


def _list(server: Server, files: Path) -> None:
    files.mkdir(parents=True)
    for number in range(NAMES):
        (files / f"name-{number}").touch()
    replace(server, name=NEIGHBOUR).sftp("ls many")


def _import(server: Server, big: Path) -> None:
    server.sftp(f"put {big} sync_users.csv")
    completed(server, 1, every_s=0.2)
