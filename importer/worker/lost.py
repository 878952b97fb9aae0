"""Imports and runs that this server has started, and does not know of any more.

The answer to a start may be lost after PostgreSQL has stored it. An end may meet an internal error. Such work would
wait for ever, because its server runs: so the server itself takes it up, as it does with the work of others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeVar

from importer.model import ImportState

RUNNING_S = 5.0
"""Work that nothing in this process knows of for so long is lost. The answer to a start may be late."""
ARRIVING_S = 600.0
"""The same for a file that arrives: nothing notes which do. The longest file is stored in less time."""


class AtWork(Protocol):
    """An import, or a run of another hook, that arrives or runs."""

    @property
    def key(self) -> tuple[str, int]: ...

    @property
    def state(self) -> ImportState: ...

    @property
    def claim(self) -> int: ...


W = TypeVar("W", bound=AtWork)


class Lost:
    """Remembers since when nothing in this process has known of what it has started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[tuple[str, int], ImportState, int], float] = {}

    def among(self, started: Iterable[W], known: Collection[tuple[str, int]]) -> list[W]:
        """Return those of `started` that were in no `known` for too long. Call it often, with all at work."""
        now = self._clock()
        unknown = {(each.key, each.state, each.claim): each for each in started if each.key not in known}
        self._since = {mark: self._since.get(mark, now) for mark in unknown}
        return [each for mark, each in unknown.items() if now - self._since[mark] >= _patience_s(each.state)]


def _patience_s(state: ImportState) -> float:
    return ARRIVING_S if state is ImportState.ARRIVING else RUNNING_S
