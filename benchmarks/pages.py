"""Response times of lists and searches over HTTP of the real server: 10,000 imports, any number of users.

Each is compared with the time of the same API for one user, which is one lookup in an index.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import httpx

from benchmarks.arrivals import completed
from benchmarks.figures import Figure
from benchmarks.people import FIRST, LAST, PLAIN_FIRST, PLAIN_LAST, address, write_people
from benchmarks.servers import TENANT, Server, headcount, until
from ground.moments import rfc3339, utc_now
from importer.folder import TenantFolder
from importer.model import Counts, FileFacts, ImportState, Outcome, Problem, Severity

IMPORTS = 10_000
MESSAGES = 100
REQUESTS = 20
"""Each run sends every request this many times."""
INDEXED_S = 600.0
MOST_MS = 100.0
ONE_USER = "one user by address"

Ask = Callable[[int], str]
"""Returns the path of a request by its number: each searches for something else."""


def pages(folder: Path, rows: int, runs: int) -> Iterator[Figure]:
    """Measure lists and searches through the API and through the pages."""
    with headcount(folder / "headcount") as server:
        server.sftp(f"put {write_people(folder / 'people.csv', rows)} sync_users.csv")
        completed(server, 1, every_s=0.2)
        _many_imports(server.folder / "data" / "headcount.db")
        tenant = TenantFolder(server.folder / "data" / "tenants" / TENANT)
        _some_leave(tenant)
        until(lambda: _indexed(tenant), server.process, INDEXED_S, 0.5)
        questions = _questions(rows)
        times: dict[str, list[float]] = {what: [] for what in questions}
        with _client(server, Authorization=f"Bearer {server.token}") as api, _client(server) as browser:
            _sign_in(browser, server)
            for turn in range(runs * REQUESTS):
                for what, ask in questions.items():
                    client = browser if what.startswith("page") else api
                    times[what].append(_timed(client, ask(turn)))
    one = times.pop(ONE_USER)
    for what, taken in times.items():
        yield Figure(what, "ms", taken, ONE_USER, one, most=MOST_MS, absolute=True)


def _questions(rows: int) -> dict[str, Ask]:
    api, page = f"/api/v1/tenants/{TENANT}", f"/tenants/{TENANT}"
    imports, users = f"imports, {IMPORTS:,}", f"users, {rows:,}"

    def some_address(turn: int) -> str:
        return address(turn * 7919 % rows)

    return {
        ONE_USER: lambda turn: f"{api}/users/{some_address(turn)}",
        f"{imports}: the newest 50": lambda _: f"{api}/imports?limit=50",
        f"{imports}: 50 from the middle": lambda turn: f"{api}/imports?limit=50&before={IMPORTS // 2 + turn}",
        f"{imports}: those that failed": lambda _: f"{api}/imports?limit=50&state=failed",
        f"{users}: the first 50": lambda _: f"{api}/users?limit=50",
        f"{users}: a letter": lambda turn: f"{api}/users?limit=50&search={FIRST[turn % PLAIN_FIRST][0]}",
        f"{users}: a common name": lambda turn: f"{api}/users?limit=50&search={FIRST[turn % PLAIN_FIRST]}",
        f"{users}: two common names": lambda turn: (
            f"{api}/users?limit=50&search={FIRST[turn % PLAIN_FIRST]}+{LAST[turn % PLAIN_LAST]}"
        ),
        f"{users}: one address": lambda turn: f"{api}/users?limit=50&search={some_address(turn)}",
        f"{users}: no user": lambda turn: f"{api}/users?limit=50&search=nobody{turn}",
        f"{users}: who is deactivated": lambda _: f"{api}/users?limit=50&state=deactivated",
        f"{users}: a letter, deactivated": lambda turn: (
            f"{api}/users?limit=50&state=deactivated&search={FIRST[turn % PLAIN_FIRST][0]}"
        ),
        f"page of {imports}": lambda _: f"{page}/imports",
        f"page of {users}, a common name": lambda turn: f"{page}/users?search={FIRST[turn % PLAIN_FIRST]}",
    }


def _timed(client: httpx.Client, path: str) -> float:
    """Return the milliseconds until the complete answer has arrived."""
    start = time.perf_counter()
    client.get(path).raise_for_status()
    return (time.perf_counter() - start) * 1000


def _client(server: Server, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=server.http, headers={"Origin": server.http, **headers})


def _sign_in(browser: httpx.Client, server: Server) -> None:
    if browser.post("/sign-in", data={"token": server.token}).status_code != 303:
        raise RuntimeError("the token does not sign in")


def _many_imports(database: Path) -> None:
    """Add imports like the one that ran, each with the most messages that are kept; one in a thousand failed."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        (sequence,) = db.execute("SELECT max(sequence) FROM imports").fetchone()
        now, numbers = rfc3339(utc_now()), range(2, IMPORTS + 1)
        texts = {state: _outcome(state) for state in (ImportState.COMPLETED, ImportState.FAILED)}
        states = (ImportState.COMPLETED if number % 1000 else ImportState.FAILED for number in numbers)
        rows = zip(numbers, states, count(sequence + 1), strict=False)
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO imports (tenant, id, state, dry_run, sequence, path, size, rows, uploaded_at, started_at,"
            " finished_at, outcome, published, applied_number)"
            " VALUES (?, ?, ?, 0, ?, '/sync_users.csv', 1, 1, ?, ?, ?, ?, ?, iif(?9 = 'completed', ?2, NULL))",
            ((TENANT, number, state, row, now, now, now, texts[state], state) for number, state, row in rows),
        )
        db.execute("UPDATE tenants SET last_import_id = ? WHERE name = ?", (IMPORTS, TENANT))
        db.execute("COMMIT")


def _outcome(state: ImportState) -> str:
    sentence = "No such user; the manager was not changed. Fix the cell or add a row. olivia.smith0@acme.example."
    said = (Severity.WARNING, "unknown_manager", sentence)
    messages = tuple(Problem(*said, line, "manager", "olivia.smith0@acme.example") for line in range(MESSAGES))
    facts = FileFacts("sync_users.csv", 1, "ab" * 32, 1)
    return json.dumps(Outcome(state, Counts(updated=1, warnings=MESSAGES), facts, messages, active=1).to_json())


def _some_leave(folder: TenantFolder) -> None:
    with closing(sqlite3.connect(folder.users_db, timeout=60)) as db, db:
        db.execute("UPDATE users SET state = 'deactivated' WHERE id % 10000 = 7")


def _indexed(folder: TenantFolder) -> bool:
    """Return whether the search index is up to date."""
    if not folder.search_db.exists():
        return False
    with closing(sqlite3.connect(folder.users_db)) as db:
        db.execute("ATTACH ? AS indexed", (str(folder.search_db),))
        (log,) = db.execute("SELECT max(seq) FROM search_log").fetchone()
        return db.execute("SELECT 1 FROM indexed.state WHERE seq = ? AND active > 0", (log,)).fetchone() is not None
