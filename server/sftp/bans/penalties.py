"""Bans of sources by penalties: seconds that add up to a ban and expire as time passes. Pure.

A source owes seconds. Each connection that ends without a login adds some, and time pays them off: a source that owes
5 seconds now owes nothing in 5 seconds. When a source owes `begins_s` or more, it is banned until it owes nothing.
Connections that a ban refuses add nothing; otherwise a client that tries again and again would never get in.

All times are in seconds of one clock that never goes back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

MOST_SOURCES = 10_000
"""Most sources kept at once, so that a flood from many addresses has bounded memory. The smallest debts go first."""


class Offense(StrEnum):
    """How a connection ended without a login. The value is the reason of a ban."""

    NO_LOGIN = "connections without a login"
    REFUSED = "refused logins"
    GRACE = "connections that did not log in within the grace time"


@dataclass(frozen=True, slots=True)
class PenaltyRules:
    """The rules, in seconds. `no_login_s`, `refused_s` and `grace_s` are added for an offense; 0 adds nothing.

    A ban begins when a source owes `min_s`, or `max_s` if that is less. No source owes more than `max_s`.
    """

    no_login_s: float
    refused_s: float
    grace_s: float
    min_s: float
    max_s: float

    @property
    def begins_s(self) -> float:
        return min(self.min_s, self.max_s)

    def cost_s(self, offense: Offense) -> float:
        return {Offense.NO_LOGIN: self.no_login_s, Offense.REFUSED: self.refused_s, Offense.GRACE: self.grace_s}[
            offense
        ]


@dataclass(frozen=True, slots=True)
class Owed:
    """The debt of one source, which is paid off at `until`. The reason is that of the newest offense."""

    until: float
    banned: bool
    reason: str


class Penalties:
    """The debts of all sources, and the sources with a logged-in session."""

    def __init__(self, rules: PenaltyRules, most_sources: int = MOST_SOURCES) -> None:
        self._rules = rules
        self._most_sources = most_sources
        self._owed: dict[str, Owed] = {}
        self._sessions: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many sources have a record of a debt."""
        return len(self._owed)

    def banned(self, source: str, now: float) -> bool:
        owed = self._owed.get(source)
        return owed is not None and owed.banned and owed.until > now

    def punish(self, source: str, offense: Offense, now: float) -> Owed | None:
        """Add the penalty of one connection. Return the ban if one begins now.

        While the source has a session no ban lasts longer than `begins_s`, so penalties during a ban add nothing.
        """
        cost_s = self._rules.cost_s(offense)
        if cost_s <= 0:
            return None
        before = self._owed.get(source)
        if before is None or before.until <= now:
            before = Owed(now, False, offense)
        shared = source in self._sessions
        if shared and before.banned:
            return None
        most_s = self._rules.begins_s if shared else self._rules.max_s
        owed_s = min(before.until - now + cost_s, most_s)
        after = Owed(now + owed_s, before.banned or owed_s >= self._rules.begins_s, offense)
        self._keep(source, after, now)
        return after if after.banned and not before.banned else None

    def forgive(self, source: str) -> None:
        """Cancel the debt of a source, including a ban."""
        self._owed.pop(source, None)

    def logged_in(self, source: str) -> None:
        """Count a new session of the source, and cancel its debt."""
        self.forgive(source)
        self._sessions[source] += 1

    def logged_out(self, source: str) -> None:
        """Count the end of a session that `logged_in` counted."""
        self._sessions[source] -= 1
        if self._sessions[source] <= 0:
            del self._sessions[source]

    def restore(self, source: str, rest_s: float, reason: str, now: float) -> None:
        """Add a ban that ends in `rest_s` seconds, but in at most `max_s`."""
        if rest_s > 0:
            self._keep(source, Owed(now + min(rest_s, self._rules.max_s), True, reason), now)

    def bans(self, now: float) -> dict[str, Owed]:
        """Return the active bans, by source. Drops sources that owe nothing."""
        self._drop_paid(now)
        return {source: owed for source, owed in self._owed.items() if owed.banned}

    def _keep(self, source: str, owed: Owed, now: float) -> None:
        if source not in self._owed and len(self._owed) >= self._most_sources:
            self._drop_lightest(now)
        self._owed[source] = owed

    def _drop_lightest(self, now: float) -> None:
        """Drop the smallest tenth of the debts, at least one, and bans last. A tenth, so that this is rare."""
        self._drop_paid(now)
        excess = len(self._owed) - self._most_sources + max(1, self._most_sources // 10)
        if len(self._owed) >= self._most_sources:
            by_weight = sorted(self._owed, key=lambda source: (self._owed[source].banned, self._owed[source].until))
            for source in by_weight[:excess]:
                del self._owed[source]

    def _drop_paid(self, now: float) -> None:
        self._owed = {source: owed for source, owed in self._owed.items() if owed.until > now}
