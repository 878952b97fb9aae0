"""Which sources are banned: penalties in seconds that add up to a ban, and pass by themselves. Pure.

A source owes seconds. Each connection that ends without a login adds some, and as time passes they are paid off: a
source that owes 5 now owes nothing in 5 seconds. A source that owes as many as a ban begins at is banned until it
owes nothing. Connections that a ban refuses add nothing, or a client that tries again and again would never get in.

Every time here is in seconds of one clock that never goes back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

MOST_SOURCES = 10_000
"""Sources remembered at once, so that a flood from many addresses has bounded memory. The lightest go first."""


class Offence(StrEnum):
    """How a connection ended without a login; the value is the reason of a ban."""

    NO_LOGIN = "connections without a login"
    REFUSED = "refused logins"
    GRACE = "connections that did not log in within the grace time"


@dataclass(frozen=True, slots=True)
class PenaltyRules:
    """Seconds. `no_login_s`, `refused_s` and `grace_s` are added for an offence; 0 adds nothing.

    A ban begins at `min_s` owed, or at `max_s` where that is less; no source owes more than `max_s`.
    """

    no_login_s: float
    refused_s: float
    grace_s: float
    min_s: float
    max_s: float

    @property
    def begins_s(self) -> float:
        return min(self.min_s, self.max_s)

    def cost_s(self, offence: Offence) -> float:
        return {Offence.NO_LOGIN: self.no_login_s, Offence.REFUSED: self.refused_s, Offence.GRACE: self.grace_s}[
            offence
        ]


@dataclass(frozen=True, slots=True)
class Owed:
    """What one source owes: nothing from `until` on. The reason is that of the newest offence."""

    until: float
    banned: bool
    reason: str


class Penalties:
    """What every source owes, and which sources have a logged-in session."""

    def __init__(self, rules: PenaltyRules, most_sources: int = MOST_SOURCES) -> None:
        self._rules = rules
        self._most_sources = most_sources
        self._owed: dict[str, Owed] = {}
        self._sessions: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many sources are remembered for what they owe."""
        return len(self._owed)

    def banned(self, source: str, now: float) -> bool:
        owed = self._owed.get(source)
        return owed is not None and owed.banned and owed.until > now

    def punish(self, source: str, offence: Offence, now: float) -> Owed | None:
        """Add the penalty of one connection. Return the ban if one begins now.

        While the source has a session no ban lasts longer than `begins_s`, so penalties during a ban add nothing.
        """
        cost_s = self._rules.cost_s(offence)
        if cost_s <= 0:
            return None
        before = self._owed.get(source)
        if before is None or before.until <= now:
            before = Owed(now, False, offence)
        shared = source in self._sessions
        if shared and before.banned:
            return None
        most_s = self._rules.begins_s if shared else self._rules.max_s
        owed_s = min(before.until - now + cost_s, most_s)
        after = Owed(now + owed_s, before.banned or owed_s >= self._rules.begins_s, offence)
        self._keep(source, after, now)
        return after if after.banned and not before.banned else None

    def forgive(self, source: str) -> None:
        """End what the source owes, a ban included."""
        self._owed.pop(source, None)

    def logged_in(self, source: str) -> None:
        """A session of the source begins: it owes nothing any more."""
        self.forgive(source)
        self._sessions[source] += 1

    def logged_out(self, source: str) -> None:
        """A session that `logged_in` was told of has ended."""
        self._sessions[source] -= 1
        if self._sessions[source] <= 0:
            del self._sessions[source]

    def restore(self, source: str, rest_s: float, reason: str, now: float) -> None:
        """Put a ban back that has `rest_s` to go; at most `max_s` of them."""
        if rest_s > 0:
            self._keep(source, Owed(now + min(rest_s, self._rules.max_s), True, reason), now)

    def bans(self, now: float) -> dict[str, Owed]:
        """Return the bans that hold, by source. Sources that owe nothing any more are forgotten."""
        self._forget_paid(now)
        return {source: owed for source, owed in self._owed.items() if owed.banned}

    def _keep(self, source: str, owed: Owed, now: float) -> None:
        if source not in self._owed and len(self._owed) >= self._most_sources:
            self._make_room(now)
        self._owed[source] = owed

    def _make_room(self, now: float) -> None:
        """Forget the lightest tenth, at least one; penalties before bans. A tenth, so that a flood pays rarely."""
        self._forget_paid(now)
        excess = len(self._owed) - self._most_sources + max(1, self._most_sources // 10)
        if len(self._owed) >= self._most_sources:
            by_weight = sorted(self._owed, key=lambda source: (self._owed[source].banned, self._owed[source].until))
            for source in by_weight[:excess]:
                del self._owed[source]

    def _forget_paid(self, now: float) -> None:
        self._owed = {source: owed for source, owed in self._owed.items() if owed.until > now}
