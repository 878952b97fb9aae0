"""Fill a data folder with a real server, and write its databases as SQL into tests/fixtures/databases.

    python -m tests.support.fill_databases

Run this once for each schema, before the next one is begun. Every later version must upgrade the result.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from engine.sqlite.store import open_store, store_file
from importer.model import ImportState
from importer.queue.states import NEVER_RUN
from tests.support import ROOT
from tests.support.runs import arrive, end_in, ended, put_in_line, start
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.writing import BYTES_STORED, by_hand

HEADER = (
    "employee_id,first_name,last_name,email,manager,coach,primary_team,secondary_team,location,time_zone,hire_date,"
    "badge,deactivate\n"
)
ANN = '1,Ann,Lee,ann@acme.example,,,Sales,"Tech\\, London, On-call",London,London,2020-02-29,Blue,'
BEN = "2,Ben,Day,ben@acme.example,1,3,Sales,,Paris,Paris,2021-01-01,Red,"
CY = "3,Cy,Fox,cy@acme.example,2,1,Ops,,,,,,"
DEE = "4,Dee,Ray,dee@acme.example,9,,Ops,,,,,,"
EVE = "5,Eve,Oak,eve@acme.example,,,,,,,,,"
FILES = [
    [ANN, BEN, CY, DEE],
    [ANN, BEN.replace("ben@acme", "ben@new"), f"{CY}1", "4,Dee,,dee@acme.example,,,,,,,,Green,"],
    [ANN],
    [ANN, BEN, CY, DEE, EVE],
    [],
]
FIELDS = '[{"key": "employee_id"}, {"key": "badge", "type": "choice", "choices": ["Blue", "Red"]}]'
SETTINGS = {
    "deactivate_missing": "true",
    "identifier": "employee_id",
    "custom_fields": FIELDS,
    "notify_email": "hr@acme.example",
    "invitations": "immediately",
    "invitation_templates": '{"en": {"subject": "Welcome", "text": "https://acme.example"}}',
}


def fill(server: ServerProcess) -> None:
    """Fill a company with all that databases hold: users, history, an undo, a held import, keys, tokens, a ban."""
    server.add_tenant("acme", **SETTINGS)
    server.add_tenant("globex")
    server.cli("token", "create", "acme", "--role", "owner", "--email", "ann@acme.example")
    server.cli("token", "create", "--operator")
    for rows in FILES:
        server.put("acme", (HEADER + "".join(f"{row}\n" for row in rows)).encode())
        server.wait("acme")
    server.put("acme", (HEADER + f"{ANN}\n").encode(), "/test/sync_users.csv")
    server.reaches("acme", len(FILES) + 1, "held")
    server.cli("import", "undo", "acme")
    server.put("acme", (HEADER + f"{ANN}\n{BEN}\n{CY}\n{DEE}\n").encode())
    server.wait("acme")
    server.put("acme", (HEADER + f"{ANN}\n").encode())
    server.wait("acme")
    wait_until(lambda: _is_banned(server), what="a ban")


def _is_banned(server: ServerProcess) -> bool:
    """Connect so often without a login that it is a ban, if no second passes meanwhile."""
    for _ in range(20):
        socket.create_connection(("127.0.0.1", server.sftp_port)).close()
    return bool(server.cli("ban", "list", "--json").json)


async def fill_runs(data: Path) -> None:
    """Add runs of a hook, in all their states, by the store itself: a server has no hook but `sync_users`."""
    async with open_store(store_file(data)) as store:
        runs = store.runs()
        await runs.remember("bills", [("invoices", "/invoices/*.csv")])
        for state in (ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS, ImportState.FAILED):
            await end_in(runs, await put_in_line(runs), state)
        for state in sorted(NEVER_RUN.ends):
            over = ended(await runs.require("acme", await arrive(runs)), state)
            await runs.end_upload(over, published=True)
        await start(runs, await put_in_line(runs))
        await put_in_line(runs)
        await arrive(runs)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder)) as server:
        fill(server)
        server.stop()
        asyncio.run(fill_runs(server.data))
        by_hand(server.data / "headcount.db", f"{BYTES_STORED} LIMIT 1")
        for kind, path in (("server", server.data / "headcount.db"), ("tenant", server.files("acme").users_db)):
            with closing(sqlite3.connect(path)) as db:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                text = "\n".join((f"PRAGMA user_version={version};", *db.iterdump(), ""))
            (ROOT / "tests" / "fixtures" / "databases" / f"{kind}-{version:03}.sql").write_text(
                text, encoding="utf-8"
            )


if __name__ == "__main__":
    main()
