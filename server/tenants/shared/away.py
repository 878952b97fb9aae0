"""The two lines of the log about a database that is away: when it goes, and when it is back. So for its files."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from importer.errors import FilesAway, TryAgain

log = logging.getLogger(__name__)


class _Away(ABC):
    """Hears from a pulse the reason why something is away, and None when it is back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0

    def __call__(self, why: Exception | None) -> None:
        now = self._clock()
        if why is None:
            self._back(now - self._since)
        else:
            self._since = now
            self._away(why)

    @abstractmethod
    def _away(self, why: Exception) -> None:
        """Log why it is away."""

    @abstractmethod
    def _back(self, after_s: float) -> None:
        """Log that it is back after so many seconds."""


class AwayLog(_Away):
    """Logs what a pulse of the database hears."""

    def _away(self, why: Exception) -> None:
        said = why.in_full if isinstance(why, TryAgain) else str(why)
        log.error("The database is away (%s); retrying.", said, extra={"event": "database_away"})

    def _back(self, after_s: float) -> None:
        facts = {"event": "database_back", "away_s": round(after_s, 1)}
        log.warning("The database is back after %.1f seconds.", after_s, extra=facts)


class FilesAwayLog(_Away):
    """Logs what a pulse of the storage of files outside of the database hears."""

    def _away(self, why: Exception) -> None:
        said = why.why if isinstance(why, FilesAway) else str(why)
        log.error("The storage of files is away (%s); retrying.", said, extra={"event": "files_away"})

    def _back(self, after_s: float) -> None:
        facts = {"event": "files_back", "away_s": round(after_s, 1)}
        log.warning("The storage of files is back after %.1f seconds.", after_s, extra=facts)


class TokenLog(_Away):
    """Logs that the storage of files takes no new token, and when it takes one again."""

    def _away(self, why: Exception) -> None:
        said = why.why if isinstance(why, FilesAway) else str(why)
        text = "The storage of files takes no new token (%s), so a copy of the database is not noticed; retrying."
        log.error(text, said, extra={"event": "files_token_refused"})

    def _back(self, after_s: float) -> None:
        facts = {"event": "files_token_taken", "away_s": round(after_s, 1)}
        log.warning("The storage of files takes new tokens again, after %.1f seconds.", after_s, extra=facts)
