"""The longest time that the event loop of the real server was blocked, so that no other client was served.

It is compared with a process that only looks at the clock at the same time: if that is long too, the machine blocked
both. So the processor time is measured separately: of the longest step, and of the process while the loop was late.
The loop may be late without a long step of its own.
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
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.arrivals import completed
from benchmarks.figures import Figure
from benchmarks.people import write_people
from benchmarks.servers import NEIGHBOR, TENANT, Server, headcount, stopping, until
from benchmarks.watched import LATE

NAMES = 100_000
FORM_PARTS = 50_000
HANDSHAKES = 100
AT_A_TIME = 8
MOST_S = 0.02
CHANGED = 0.01
INDEX_S = 600.0
LOOKS_S = 0.001


def longest_holds(folder: Path, rows: int) -> Iterator[Figure]:
    """Measure the pages, many handshakes, huge forms, a long listing, a big list, its index, and the list again."""
    big = write_people(folder / "big.csv", rows)
    changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
    with headcount(folder / "headcount", watched=True) as server:
        files = folder / "headcount" / "data" / "tenants" / NEIGHBOR / "files" / "many"
        works: list[tuple[str, Callable[[], object]]] = [
            ("the first page", lambda: urllib.request.urlopen(f"{server.http}/sign-in").close()),
            ("the other pages, each its first time", lambda: _pages(server)),
            ("a crowd of handshakes", lambda: crowd(server)),
            (f"forms of {FORM_PARTS:,} parts", lambda: forms(server)),
            (f"{NAMES:,} names listed", lambda: list_names(replace(server, name=NEIGHBOR), files)),
            (f"{rows:,} rows imported", lambda: _import(server, big, 1)),
            ("their search index made", lambda: indexed(server)),
            (f"{rows:,} rows again, 1% changed", lambda: _import(server, changed, 2)),
        ]
        for what, work in works:
            yield from longest_hold(server, folder, what, work)


def longest_hold(server: Server, folder: Path, what: str, work: Callable[[], object]) -> Iterator[Figure]:
    """Yield what blocked the loop of a `watched` server during `work`."""
    held, worked, late, idle = _held_by(server, folder, work)
    yield Figure(f"longest step of the loop: {what}", "s", [held], "idle loop", [idle], most=MOST_S, absolute=True)
    yield Figure("the most processor time of one step", "s", [worked], most=MOST_S, absolute=True)
    yield Figure("the most of the process while the loop was late", "s", [late], most=MOST_S, absolute=True)


def _held_by(server: Server, folder: Path, work: Callable[[], object]) -> tuple[float, float, float, float]:
    """Return four maxima in seconds: a step, the processor time of a step, the processor time of the process while
    the loop was late, and a hold of the idle loop."""
    start = time.time()
    with _idle(folder / "idle") as idle:
        work()
    notes = [json.loads(line) for line in (server.folder / "held.jsonl").read_text().splitlines()]
    steps = [note for note in notes if note["at"] >= start]
    for measure in ("held_s", "cpu_s"):
        for step in sorted(steps, key=lambda each: -each[measure])[:3]:
            print(step, file=sys.stderr)
    late = max((step["cpu_s"] for step in steps if step["what"] == LATE), default=0.0)
    own = [step for step in steps if step["what"] != LATE]
    held, worked = (max((step[which] for step in own), default=0.0) for which in ("held_s", "cpu_s"))
    return held, worked, late, float(idle.read_text())


@contextmanager
def _idle(path: Path) -> Iterator[Path]:
    """Run an idle loop; afterwards the file has the longest time that it was blocked."""
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


def crowd(server: Server) -> None:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda _: server.sftp("pwd"), range(HANDSHAKES)))


def _browser(server: Server) -> urllib.request.OpenerDirector:
    """Return a browser in which the operator has signed in."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    browser.addheaders = [("Origin", server.http)]
    browser.open(f"{server.http}/sign-in", urlencode({"token": server.token}).encode()).close()
    return browser


def _pages(server: Server) -> None:
    browser = _browser(server)
    for page in ("imports", "users", "settings", "settings/history", "keys", "try", "api"):
        _tried(browser, f"{server.http}/tenants/{TENANT}/{page}")


def forms(server: Server) -> None:
    """Send one form to a page that reads fields, and one to a page that accepts a file."""
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    browser = _browser(server)
    for page in ("settings", "try"):
        where = f"{server.http}/tenants/{TENANT}/{page}"
        _tried(browser, urllib.request.Request(where, part * FORM_PARTS + b"--x--\r\n", kind))


def _tried(browser: urllib.request.OpenerDirector, asked: str | urllib.request.Request) -> None:
    try:
        browser.open(asked).close()
    except OSError as refused:
        print(refused, file=sys.stderr)


def list_names(server: Server, files: Path) -> None:
    files.mkdir(parents=True)
    for number in range(NAMES):
        (files / f"name-{number}").touch()
    server.sftp("ls many")


def _import(server: Server, big: Path, number: int) -> None:
    server.sftp(f"put {big} sync_users.csv")
    completed(server, number, every_s=0.2)


def indexed(server: Server) -> None:
    """Wait until the log says that the users are indexed."""
    log = server.folder / "server.log"
    until(lambda: '"users_indexed"' in log.read_text(), server.process, INDEX_S, 0.2)
