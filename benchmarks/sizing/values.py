"""The values that a simulation of a day gets, and those that it returns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

AT_ONCE = 2
"""Imports of one server at once."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The servers of a day. `node_cores` of each, and `postgres_cores` of the database."""

    nodes: int
    node_cores: float
    postgres_cores: float
    at_once: int = AT_ONCE


@dataclass(frozen=True, slots=True)
class Kill:
    """Some servers are killed at this moment."""

    at_s: float
    nodes: int


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From this moment on, one server after the other is stopped and started; `together`: so many at a time."""

    at_s: float
    together: int = 1


@dataclass(frozen=True, slots=True)
class Failover:
    """PostgreSQL is away for so long."""

    at_s: float
    for_s: float


Event = Kill | Upgrade | Failover


@dataclass(frozen=True, slots=True)
class Ended:
    """An import that has ended: when its client had the OK, when its last start was, and when it ended."""

    tenant: int
    landed_s: float
    started_s: float
    ended_s: float

    @property
    def waited_s(self) -> float:
        return self.started_s - self.landed_s

    @property
    def took_s(self) -> float:
        return self.ended_s - self.landed_s


@dataclass(frozen=True, slots=True)
class Minute:
    """The state at the end of a minute; cores that worked in it, on average."""

    at_s: float
    nodes_busy: float
    postgres_busy: float
    waiting: int


@dataclass(slots=True)
class Day:
    """The result of a simulation."""

    sent: int = 0
    landed: int = 0
    ended: list[Ended] = field(default_factory=list)
    left: int = 0
    """Imports that wait or run at the end."""
    interrupted: int = 0
    """Sessions that ended with their server before the OK; their clients came again."""
    restarted: int = 0
    """Starts of imports that ended with their server."""
    most_waiting: int = 0
    nodes_s: float = 0.0
    """The work of servers on lists. The work of sessions without one, and of idle servers, is in `Minute` too."""
    postgres_s: float = 0.0
    wal_bytes: float = 0.0
    minutes: list[Minute] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least this share of the values do not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0
