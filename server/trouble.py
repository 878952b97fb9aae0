"""The log of work that fails repeatedly: at most one line a minute, and a traceback only for internal errors.

A full or read-only disk fails every round of every part of the server. Such a failure is logged as a sentence. While
the whole database is away, its own line says so, and the parts say nothing for the first minute.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Mapping

from importer.errors import DatabaseAway, DatabaseUnusable, TryAgain
from server.seldom import Seldom

LOGGED_EVERY_S = 60.0
"""Seconds between two lines about the same work."""

OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def outside_cause(error: Exception) -> str | None:
    """Return what the disk or the database reports, in words; None if `error` is an internal error."""
    if isinstance(error, TryAgain):
        return error.in_full
    if isinstance(error, DatabaseUnusable):
        return str(error)
    return error.strerror if isinstance(error, OSError) and error.errno in OF_THE_DISK else None


def tell(
    log: logging.Logger, sentence: str, error: Exception, facts: Mapping[str, object], *, then: str | None = None
) -> None:
    """Log `sentence` (without full stop), the cause if it is outside of the server, and what happens `then`.

    An internal error is logged with its traceback.
    """
    cause, after = outside_cause(error), f"; {then}" if then else ""
    if cause is None:
        log.error("%s%s.", sentence, after, exc_info=error, extra=dict(facts))
    else:
        log.error("%s: %s%s.", sentence, cause, after, extra=dict(facts))


class Trouble:
    """The log of one kind of work that is retried. Call `met` each time it fails."""

    def __init__(
        self,
        log: logging.Logger,
        sentence: str,
        facts: Mapping[str, object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._sentence = sentence
        self._facts = facts
        self._clock = clock
        self._internal = Seldom(LOGGED_EVERY_S)
        self._outside = Seldom(LOGGED_EVERY_S)
        self._away: tuple[float, float] | None = None
        """When a failure because of the absence of the database was met first and last, in one absence."""

    def met_unless_busy(self, error: Exception) -> None:
        """Log it, but at level debug if another process holds the database for a moment."""
        if isinstance(error, TryAgain) and error.code == "database_busy":
            self._log.debug("%s for a moment: %s.", self._sentence, error.in_full)
        else:
            self.met(error)

    def met(self, error: Exception) -> None:
        """Log it, unless an error of its kind (internal, or of disk or database) was logged within a minute."""
        if isinstance(error, DatabaseAway) and not self._is_long_away():
            self._log.debug("%s: %s.", self._sentence, error.in_full)
            return
        seldom = self._internal if outside_cause(error) is None else self._outside
        if times := seldom.again(self._clock()):
            tell(self._log, self._sentence, error, {**self._facts, "times": times}, then="retrying")

    def _is_long_away(self) -> bool:
        """Return whether the database has been away for a minute: the work may fail for a reason of its own."""
        now = self._clock()
        first, last = self._away or (now, now)
        self._away = (first if now - last < LOGGED_EVERY_S else now), now
        return now - self._away[0] >= LOGGED_EVERY_S
