"""One server at a time on a database: it has a row there, which it renews while it runs.

The clock of the database decides when a server has gone. A server that was killed on this machine is known at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine.postgres.server.serving import GONE_S, PostgresServing, ServerRow
from importer.errors import DatabaseFault, ImporterError
from server.process import InUse
from server.rounds import again
from server.trouble import Trouble

log = logging.getLogger(__name__)

RENEW_S = 2.0
LOOK_S = 1.0
"""Seconds between two looks at a server that may have gone."""


@asynccontextmanager
async def the_only_one(serving: PostgresServing, name: str, stop: asyncio.Event) -> AsyncIterator[None]:
    """Be the only server on the database `name` while the block runs. Sets `stop` if another one has taken the place.

    Raises InUse if another server runs. One that does not answer any more is waited for, `GONE_S` at most.
    """
    mine = this_server()
    await _take(serving, mine, name)
    ending = asyncio.Event()
    trouble = Trouble(log, "The database does not learn that this server runs", {"event": "server_unnoted"})

    def failed(error: Exception) -> float:
        trouble.met(error)
        return RENEW_S

    async def renew() -> float:
        if not await serving.take(mine) and not stop.is_set():
            log.error("The server stops: another one runs on %s.", name, extra={"event": "server_replaced"})
            stop.set()
        return RENEW_S

    task = asyncio.create_task(again(renew, failed, ending), name="serving")
    try:
        yield
    finally:
        ending.set()
        await asyncio.wait([task])
        with suppress(ImporterError, DatabaseFault):  # it has gone for the next one after GONE_S
            await serving.leave(mine)


def this_server() -> ServerRow:
    """Return the row of this process."""
    return ServerRow(secrets.token_hex(8), socket.gethostname(), _machine(), _pid(os.getpid()) or "")


async def _take(serving: PostgresServing, mine: ServerRow, name: str) -> None:
    first, waits = await serving.found(), round(GONE_S / LOOK_S) + 2
    for left in reversed(range(waits)):
        found = await serving.found()
        gone = found.process if found and _was_killed(found) else None
        if await serving.take(mine, gone):
            return
        if left == 0 or (found and first and found.seen_at != first.seen_at):
            host = f" (on {found.host})" if found else ""
            raise InUse(f"another server already runs on {name}{host}. Stop it first")
        if left == waits - 1:
            log.warning("Another server may run on %s; waiting for it.", name, extra={"event": "server_waits"})
        first = first or found
        await asyncio.sleep(LOOK_S)


def _was_killed(found: ServerRow) -> bool:
    """Return whether the server ran on this machine and does not run any more."""
    return found.machine == _machine() != "" and _pid(int(found.pid.partition(" ")[0] or 0)) != found.pid


def _machine() -> str:
    """Return the id of this start of the machine, and of its processes as this one sees them; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _pid(number: int) -> str | None:
    """Return the number of a process and the time of its start; None if it does not run."""
    try:
        facts = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = facts.rpartition(")")[2].split()
    return None if fields[0] == "Z" else f"{number} {fields[19]}"
