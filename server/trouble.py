"""What the log says of work that fails again and again: one line a minute, and a traceback for faults of ours only.

A disk that is full or read-only fails every round of every part. The reason is then a sentence.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Mapping

from importer.errors import TryAgain
from server.seldom import Seldom

TOLD_S = 60.0

OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def in_the_way(error: Exception) -> str | None:
    """Return what the disk or the database says, in words; None if `error` is a fault of ours."""
    if isinstance(error, TryAgain):
        return error.message
    return error.strerror if isinstance(error, OSError) and error.errno in OF_THE_DISK else None


def tell(log: logging.Logger, sentence: str, error: Exception, facts: Mapping[str, object]) -> None:
    """Log `sentence` (without its full stop), and the reason."""
    reason = in_the_way(error)
    if reason is None:
        log.error("%s.", sentence, exc_info=error, extra=dict(facts))
    else:
        log.error("%s: %s.", sentence, reason, extra=dict(facts))


class Trouble:
    """Of one kind of work, which is tried again: `met` each time it fails."""

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
        self._ours = Seldom(TOLD_S)
        self._others = Seldom(TOLD_S)

    def met_unless_busy(self, error: Exception) -> None:
        """The same, but a database that another process holds for a moment is no trouble."""
        if isinstance(error, TryAgain) and error.code == "database_busy":
            self._log.debug("%s for a moment: %s.", self._sentence, error.message)
        else:
            self.met(error)

    def met(self, error: Exception) -> None:
        """Log it, unless one of its kind (ours, or the disk's) was logged within a minute."""
        seldom = self._ours if in_the_way(error) is None else self._others
        if times := seldom.again(self._clock()):
            tell(self._log, f"{self._sentence}, and is tried again", error, {**self._facts, "times": times})
