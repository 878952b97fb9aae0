"""How one attempt of a hook can end, and what is done next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from headcount.hooks import Result

ATTEMPTS = 5
WAITS_S = (10.0, 60.0, 300.0, 1800.0)
"""Seconds before the second, third, fourth and fifth attempt, unless the hook says another time."""


@dataclass(frozen=True, slots=True)
class Done:
    """The hook returned."""

    result: Result


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt failed, and another may succeed. `message` is for the tenant, `error` for the operator only.

    `after_s` is the wait that the hook asked for; None: the usual one. `by_signal`: a signal ended its process.
    """

    message: str
    error: str | None = None
    after_s: float | None = None
    by_signal: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed, and no other can succeed."""

    message: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The server stops: the attempt was ended, or failed meanwhile, and does not count."""


End = Done | Again | Failed | Stopped


@dataclass(frozen=True, slots=True)
class Refused:
    """`accept` does not want the file. `message` is a sentence for the client, `error` for the operator only."""

    message: str
    error: str | None = None
