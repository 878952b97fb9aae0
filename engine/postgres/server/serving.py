"""The table `serving`: which server runs on the database."""

from __future__ import annotations

from dataclasses import dataclass

from engine.postgres.database import ON_NO_DISK, Database

GONE_S = 10.0
"""A server that was not seen for so many seconds has gone."""

TAKE = """
    INSERT INTO serving (process, host, machine, pid, seen_at)
    VALUES (%(process)s, %(host)s, %(machine)s, %(pid)s, clock_timestamp())
    ON CONFLICT (one) DO UPDATE SET process = excluded.process, host = excluded.host, machine = excluded.machine,
        pid = excluded.pid, seen_at = excluded.seen_at
    WHERE serving.process IN (excluded.process, %(gone)s)
        OR serving.seen_at < clock_timestamp() - make_interval(secs => %(gone_s)s)"""
LIVES = "SELECT 1 FROM serving WHERE seen_at >= clock_timestamp() - make_interval(secs => %s)"


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server: the random name of its process, where it runs, and its process on that machine.

    `seen_at` is a text that changes when it is seen.
    """

    process: str
    host: str
    machine: str
    pid: str
    seen_at: str = ""


class PostgresServing:
    """Which server runs on the database: one at most."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def found(self) -> ServerRow | None:
        """Return the server that runs, or was killed; None if the newest one has stopped."""
        rows = await self._database.read("SELECT process, host, machine, pid, seen_at::text FROM serving")
        return ServerRow(*rows[0]) if rows else None

    async def take(self, mine: ServerRow, gone: str | None = None) -> bool:
        """Let this server run here from now on, unless another does. The process named `gone` does not run.

        Called again, it says that this server still runs. Return whether it does: no other has taken its place.
        """
        async with self._database.transaction(ON_NO_DISK) as steps:
            return bool(
                await steps.change(
                    TAKE,
                    process=mine.process,
                    host=mine.host,
                    machine=mine.machine,
                    pid=mine.pid,
                    gone=gone,
                    gone_s=GONE_S,
                )
            )

    async def leave(self, mine: ServerRow) -> None:
        """Say that this server does not run any more."""
        await self._database.change("DELETE FROM serving WHERE process = %s", mine.process)

    async def lives(self) -> bool:
        """Return whether a server runs."""
        return bool(await self._database.read(LIVES, GONE_S))
