"""Whether a tenant sends many files one after the other: its runs then let the uploads go first. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

FEW = 5
"""The first files of a rush are run at once, like single files."""
GAP_S = 0.1
"""Runs go on when no file landed for so long."""
PAUSE_S = 1.0
"""A rush ends when no file landed for so long, and for half the time that it held runs up."""
LONGEST_S = 10.0
"""Later in a rush runs no longer wait. So no client can delay them for ever, and a third of the time is theirs."""


@dataclass(slots=True)
class Rush:
    """The files of one tenant that landed without a pause between them. Times are of a monotonic clock."""

    began_at: float = 0.0
    last_at: float = float("-inf")
    files: int = 0

    def landed(self, now: float) -> None:
        """Count a file that landed `now`."""
        if self.over(now):
            self.began_at, self.files = now, 0
        self.last_at = now
        self.files += 1

    def holds(self, now: float) -> bool:
        """Return whether the tenant's runs wait `now`."""
        return self.files > FEW and now - self.last_at <= GAP_S and now - self.began_at <= LONGEST_S

    def over(self, now: float) -> bool:
        """Return whether the rush has ended."""
        held_s = min(self.last_at - self.began_at, LONGEST_S)
        return now - self.last_at > max(PAUSE_S, held_s / 2)


@dataclass(slots=True)
class Rushes:
    """The rushes of all tenants."""

    _of: dict[str, Rush] = field(default_factory=dict)

    def landed(self, tenant: str, now: float) -> bool:
        """Count a file that landed `now`; return whether the tenant's runs wait."""
        rush = self._of.setdefault(tenant, Rush())
        rush.landed(now)
        return rush.holds(now)

    def held(self, now: float) -> set[str]:
        """Return the tenants whose runs wait `now`, and drop the rushes that are over."""
        self._of = {tenant: rush for tenant, rush in self._of.items() if not rush.over(now)}
        return {tenant for tenant, rush in self._of.items() if rush.holds(now)}
