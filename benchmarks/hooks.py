"""Small files to a path without a hook, to an async hook and to a plain one, and what hooks cost idle tenants.

Beside them is the floor of durable files: OpenSSH's server with `put -f`, which flushes each file, and the time to
flush its folder once for each file, which a client cannot request. A second floor is a landing without a server: the
flushes that a client waits for, and no other work.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import perf_counter

from benchmarks.child import ROOT
from benchmarks.figures import MIB, Figure
from benchmarks.servers import TENANT, Server, at_work, command, headcount, openssh, until
from benchmarks.tenants import multiply, resident, share

MODULE = """
from headcount import Delivery, hook


@hook("/async/*", name="async_hook")
async def async_hook(delivery: Delivery) -> None:
    with delivery.open() as file:
        file.read()


@hook("/plain/*", name="plain_hook")
def plain_hook(delivery: Delivery) -> None:
    with delivery.open() as file:
        file.read()
"""
FILES = 1000
SESSIONS = 4
CONTENT = b"No;Sum\n1;2\n"
ROW, LOG = 28 * 1024, 28 * 1024 * 150
"""The bytes of seven pages, and of a log of headcount.db that is long enough to be overwritten."""
AT_A_TIME = 256
"""So many files of one client land in the time after which the server flushes them."""
MOST = 1.3
RUN_S = 600.0
TENANTS = 100
SETTLE_S, IDLE_S = 75.0, 60.0
"""The process of a hook ends after a minute without a file."""
WAYS = {"none": "", "async": "async/", "plain": "plain/"}


def many_files(folder: Path, runs: int) -> Iterator[Figure]:
    """Measure 1,000 small files in one session and in four beside each other, to each path in turns.

    Nothing is deleted meanwhile: for each new file, an ext4 without a journal seeks past all files that were deleted
    in the last minutes. That took a third of the time of a file without a hook.
    """
    times: dict[tuple[str, int], list[float]] = {}
    flushes: list[float] = []
    ended: dict[str, list[float]] = {}
    with (
        headcount(folder / "headcount", (TENANT,), env=_hooks(folder)) as ours,
        openssh(folder / "openssh") as peer,
    ):
        command(ours.folder, "tenant", "set", TENANT, f"quota_files={FILES * len(WAYS) * 2 * runs + FILES}")
        sent = 0
        for turn in range(runs):
            for sessions in (1, SESSIONS):
                for way, path in WAYS.items():
                    files = _write(folder / f"{turn}-{sessions}-{way}")
                    start = perf_counter()
                    times.setdefault((way, sessions), []).append(_send(ours, files, path, sessions))
                    if path:
                        sent += FILES
                        _wait_for(ours, sent)
                        if sessions == 1:
                            ended.setdefault(way, []).append(perf_counter() - start)
                flushed = _send(peer, _write(folder / f"{turn}-{sessions}-peer"), "", sessions, put="put -f")
                times.setdefault(("floor", sessions), []).append(flushed + _flush_folder(folder / "openssh" / "home"))
            flushes.append(_flush_landings(folder / f"{turn}-landings"))
    for sessions in (1, SESSIONS):
        what = f"{FILES:,} small files in {sessions} session{'s' if sessions > 1 else ''}"
        none, floor = times["none", sessions], times["floor", sessions]
        yield Figure(f"{what}, no hook", "s", none, "OpenSSH, files and folders flushed", floor)
        for way in ("async", "plain"):
            found = times[way, sessions]
            most = MOST if (way, sessions) == ("async", 1) else None
            yield Figure(f"{what}, {way} hook", "s", found, "no hook", none, most=most)
            yield Figure("the same", "s", found, "OpenSSH, files and folders flushed", floor)
    least = [none + flushed for none, flushed in zip(times["none", 1], flushes, strict=True)]
    what = f"{FILES:,} small files in 1 session, no hook, and the flushes of landings alone"
    yield Figure(what, "s", least, "no hook", times["none", 1])
    for way, took in ended.items():
        yield Figure(f"{FILES:,} small files in 1 session, until the {way} hook had all", "s", took)


def idle_tenants(folder: Path) -> Iterator[Figure]:
    """Measure memory, processor time and processes of an idle server of 100 tenants, with hooks and without."""
    env = _hooks(folder)
    with headcount(folder / "headcount", env=env) as server:
        files = _write(folder / "files")
        for path in ("async/", "plain/"):
            server.sftp(f"put {files}/0 {path}")
        _wait_for(server, 2)
    multiply(folder / "headcount" / "data", TENANTS)
    memory: list[float] = []
    shares: list[float] = []
    for given in ({}, env):
        with at_work(folder / "headcount", env=given) as server:
            if given:
                server.sftp(f"put {files}/1 plain/")
                _wait_for(server, 3)
                yield Figure(
                    f"{TENANTS} tenants: processes after a file for a plain hook", "files", [_children(server)]
                )
            time.sleep(SETTLE_S)
            shares.append(share(server, IDLE_S) * 100)
            memory.append(resident(server) / MIB)
            if given:
                yield Figure(f"{TENANTS} tenants: processes of hooks when idle", "files", [_children(server)])
    yield Figure(f"{TENANTS} tenants with hooks: memory when idle", "MiB", memory[1:], "without hooks", memory[:1])
    yield Figure(f"{TENANTS} tenants with hooks: of a core when idle", "%", shares[1:], "without hooks", shares[:1])


def _hooks(folder: Path) -> dict[str, str]:
    """Write a module with the hooks; return the environment of a server with them."""
    (folder / "hooks_to_measure.py").write_text(MODULE)
    return {"HEADCOUNT_HOOKS": "hooks_to_measure", "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def _write(folder: Path) -> Path:
    """Write the files into a new folder; their names are in it alone."""
    folder.mkdir()
    for number in range(FILES):
        (folder / str(number)).write_bytes(CONTENT)
    return folder


def _send(server: Server, files: Path, path: str, sessions: int, put: str = "put") -> float:
    """Send the files in sessions beside each other; return the seconds from the first connect to the last answer."""
    names = sorted(files.iterdir())
    parts = [names[each::sessions] for each in range(sessions)]
    start = perf_counter()
    with ThreadPoolExecutor(sessions) as pool:
        list(pool.map(lambda part: server.sftp(*_puts(server, part, path, put)), parts))
    return perf_counter() - start


def _puts(server: Server, part: list[Path], path: str, put: str) -> list[str]:
    return [f"{put} {file} {server.home}{path}{file.parent.name}-{file.name}" for file in part]


def _flush_folder(folder: Path) -> float:
    """Return the seconds to make names in a folder and flush it, once for each file."""
    start = perf_counter()
    fd = os.open(folder, os.O_RDONLY)
    for number in range(FILES):
        (folder / f"name-{number}").touch()
        os.fsync(fd)
    os.close(fd)
    return perf_counter() - start


def _flush_landings(folder: Path) -> float:
    """Return the seconds to write and flush what a client waits for when a short file lands, once for each file.

    That is a row of `ROW` bytes in a log that has its length. Some files at a time are flushed beside it, with their
    folder.
    """
    folder.mkdir()
    names, log = os.open(folder, os.O_RDONLY), os.open(folder / "log", os.O_RDWR | os.O_CREAT)
    os.pwrite(log, bytes(LOG), 0)
    os.fsync(log)
    landed: list[int] = []
    start = perf_counter()
    with ThreadPoolExecutor(1) as beside:
        for number in range(FILES):
            landed.append(os.open(folder / f"draft-{number}", os.O_RDWR | os.O_CREAT))
            os.write(landed[-1], CONTENT)
            os.pwrite(log, bytes(ROW), number * ROW % LOG)
            os.fdatasync(log)
            os.rename(folder / f"draft-{number}", folder / f"name-{number}")
            if len(landed) == AT_A_TIME:
                beside.submit(_flush_all, landed, names)
                landed = []
        took = perf_counter() - start
        beside.submit(_flush_all, landed, names)
    os.close(log)
    os.close(names)
    return took


def _flush_all(files: list[int], folder: int) -> None:
    for file in files:
        os.fsync(file)
        os.close(file)
    os.fsync(folder)


def _wait_for(server: Server, runs: int) -> None:
    """Wait until so many runs of hooks are completed."""
    uri = (server.folder / "data" / "headcount.db").as_uri() + "?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
        count = "SELECT count(*) FROM runs WHERE state = 'completed'"
        until(lambda: db.execute(count).fetchone()[0] >= runs, server.process, RUN_S, 0.05)


def _children(server: Server) -> int:
    """Return how many processes the server has started that still run."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(len((task / "children").read_text().split()) for task in tasks)
