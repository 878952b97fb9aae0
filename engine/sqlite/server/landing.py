"""A file that becomes a run in one call: its row and its bytes, and how both end.

The theory is in `server.files.local.landing`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from engine.landing import Landing
from engine.sqlite.database import in_transaction
from engine.sqlite.server.ledger import Inside
from ground.moments import rfc3339

STORED = "INSERT INTO landed_files (tenant, run_id, path, content, changed_ns) VALUES (?, ?, ?, ?, ?)"
NEVER_AGAIN = "UPDATE tenants SET last_run_id = max(last_run_id, ?) WHERE name = ?"
KEPT = "DELETE FROM landed_files WHERE tenant = ? AND run_id = ?"
OWN = (
    f"{KEPT} AND NOT EXISTS (SELECT 1 FROM runs"  # noqa: S608 - a constant
    " WHERE tenant = landed_files.tenant AND id = landed_files.run_id AND uploaded_at <> ?)"
)
"""Not those of a later run of the same id: its tenant may have been removed and added again."""
WITH_FILES = "SELECT DISTINCT tenant FROM landed_files"
OF_TENANT = "SELECT tenant, run_id, path, content, changed_ns FROM landed_files WHERE tenant = ? ORDER BY run_id"


class Steps:
    """The steps of one file. Only `keep` is not called in the thread of the database."""

    def __init__(
        self, landing: Landing, queue: Callable[[Inside], int], delete: Callable[[Inside, int], object]
    ) -> None:
        """`queue` makes the queued run and returns its id, and `delete` deletes it."""
        self.tenant = landing.tenant
        self.size = landing.size
        self._landing = landing
        self._queue = queue
        self._delete = delete
        self._run_id: int | None = None
        self.shown = False
        self._ended = False

    @property
    def left(self) -> bool:
        """Whether the database may have bytes of the file."""
        return self._run_id is not None and not self._ended

    @property
    def run_id(self) -> int:
        """Return the id of the run of a file that has landed."""
        assert self._run_id is not None
        return self._run_id

    @property
    def key(self) -> tuple[str, int]:
        """Return the key of that run."""
        return self.tenant, self.run_id

    def land(self, db: Inside) -> None:
        """Queue the run with its bytes, and make the file visible. The thread does no other work between these."""
        placing = self._landing.placing
        content, changed_ns = placing.content()
        tried: int | None = None

        def queue(inside: Inside) -> int:
            nonlocal tried
            tried = run_id = self._queue(inside)
            landing = self._landing
            inside.execute(STORED, (landing.tenant, run_id, landing.path, content, changed_ns))
            placing.copy(landing.copy_of(run_id))
            return run_id

        try:
            self._run_id = in_transaction(db, queue)
            placing.show()
        except BaseException as error:
            try:
                placing.undo()
            finally:  # a disk that fails may fail in both
                if self._run_id is not None:
                    in_transaction(db, self.end)
                    self._ended = True
                elif tried is not None and isinstance(error, sqlite3.OperationalError):
                    self._overwrite(db, tried)
            raise
        self.shown = True

    def _overwrite(self, db: Inside, run_id: int) -> None:
        """Let a start not find what a failed commit wrote.

        If only the flush failed, the log has all of the transaction behind its end, and a start would count that.
        The next transaction overwrites it.
        """
        with suppress(sqlite3.Error):  # the disk may fail here too
            in_transaction(db, lambda inside: inside.execute(NEVER_AGAIN, (run_id, self.tenant)))

    def begin_keep(self) -> None:
        """Begin to write the bytes to the disk; see `Placing.begin_keep`."""
        if self.shown:
            self._landing.placing.begin_keep()

    def keep(self, folders: set[tuple[int, int]]) -> None:
        """Bring the file to the disk under its names; see `Placing.keep`."""
        if self.shown:
            self._landing.placing.keep(folders)

    def end(self, inside: Inside) -> None:
        """Delete the bytes, and the run if its file did not become visible."""
        inside.execute(OWN, (self.tenant, self._run_id, rfc3339(self._landing.uploaded_at)))
        if not self.shown:
            self._delete(inside, self.run_id)
