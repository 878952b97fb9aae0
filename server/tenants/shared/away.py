"""The two lines of the log about a database that is away: when it goes, and when it is back. So for its files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from importer.errors import FilesAway, TryAgain

log = logging.getLogger(__name__)


class AwayLog:
    """Logs what a pulse of the database hears: the reason why it is away, and None when it is back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0

    def __call__(self, why: Exception | None) -> None:
        now = self._clock()
        if why is None:
            facts = {"event": "database_back", "away_s": round(now - self._since, 1)}
            log.warning("The database is back after %.1f seconds.", now - self._since, extra=facts)
            return
        self._since = now
        said = why.in_full if isinstance(why, TryAgain) else str(why)
        log.error("The database is away (%s); retrying.", said, extra={"event": "database_away"})


class FilesAwayLog:
    """The same about the storage of files outside of the database."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0

    def __call__(self, why: Exception | None) -> None:
        now = self._clock()
        if why is None:
            facts = {"event": "files_back", "away_s": round(now - self._since, 1)}
            log.warning("The storage of files is back after %.1f seconds.", now - self._since, extra=facts)
            return
        self._since = now
        said = why.why if isinstance(why, FilesAway) else str(why)
        log.error("The storage of files is away (%s); retrying.", said, extra={"event": "files_away"})
