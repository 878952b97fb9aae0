"""PostgreSQL beside the data folder: imports of a big list, uploads and downloads, by one program in turns.

PostgreSQL is Debian's with its own settings: what it has acknowledged is on the disk.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.figures import MIB, Figure
from benchmarks.imports import CHANGED
from benchmarks.people import write_people
from benchmarks.servers import TENANT, Server, headcount
from tests.support.own_postgres import own_postgres

ROWS = 200_000
BIG_MIB = 200
SMALL_FILES = 200
SECRET_BYTES = 32
ENDED = {"completed", "unchanged"}
BESIDE = "data folder"
MOST = {"first": 2.5, "again": 3.0}


def engines(folder: Path, runs: int) -> Iterator[Figure]:
    """Measure a list of 200,000 rows sent first and again, big and small files, in turns on both engines."""
    lists = {
        "first": write_people(folder / "people.csv", ROWS),
        "again": folder / "people.csv",
        "changed": write_people(folder / "changed.csv", ROWS, changed=CHANGED),
    }
    big, few = folder / "big", folder / "few"
    big.write_bytes(os.urandom(MIB) * BIG_MIB)
    few.mkdir()
    for number in range(SMALL_FILES):
        (few / f"{number}.csv").write_bytes(b"No;Sum\n1;2\n")
    found: dict[tuple[str, str], list[float]] = {}
    for turn in range(runs):
        with ExitStack() as stack:
            postgres = stack.enter_context(own_postgres())
            embedded = stack.enter_context(headcount(folder / f"embedded-{turn}", (TENANT,)))
            env = {
                "HEADCOUNT_DATABASE_URL": postgres.url,
                "HEADCOUNT_SECRET_KEY_FILE": _secret(folder / f"{turn}.key"),
            }
            shared = stack.enter_context(headcount(folder / f"postgres-{turn}", (TENANT,), env=env))
            for name, server in (("embedded", embedded), ("postgres", shared)):
                for number, (what, file) in enumerate(lists.items(), start=1):
                    server.sftp(f"put {file} sync_users.csv")
                    found.setdefault((what, name), []).append(_import_s(server, number))
                found.setdefault(("put", name), []).append(server.sftp(f"put {big} big"))
                found.setdefault(("get", name), []).append(server.sftp(f"get big {folder / 'got'}"))
                start = perf_counter()
                server.sftp(f"put {few}/* .")
                found.setdefault(("small", name), []).append(perf_counter() - start)
    for what, text in (
        ("first", f"first import, {ROWS:,} rows"),
        ("again", f"again, unchanged, {ROWS:,} rows"),
        ("changed", f"again, 1% changed, {ROWS:,} rows"),
        ("put", f"upload of {BIG_MIB} MiB"),
        ("get", f"download of {BIG_MIB} MiB"),
        ("small", f"{SMALL_FILES} small files in one session"),
    ):
        ours, beside = found[what, "postgres"], found[what, "embedded"]
        yield Figure(f"PostgreSQL: {text}", "s", ours, BESIDE, beside, most=MOST.get(what))


def _import_s(server: Server, number: int) -> float:
    """Wait until an import was applied; return the seconds from its start to its end."""
    while (found := _import(server, number))["state"] in ("queued", "running"):
        time.sleep(0.05)
    if found["state"] not in ENDED:
        raise RuntimeError(f"import {number} ended {found['state']}")
    started, finished = (datetime.fromisoformat(found[f"{when}_at"]) for when in ("started", "finished"))
    return (finished - started).total_seconds()


def _import(server: Server, number: int) -> dict[str, Any]:
    address = f"{server.http}/api/v1/tenants/{server.name}/imports/{number}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {server.token}"})
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _secret(path: Path) -> str:
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(SECRET_BYTES))
    return str(path)
