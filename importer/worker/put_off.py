"""Tenants whose reports cannot be written are tried less and less often, so that other tenants do not wait. Pure."""

from __future__ import annotations

from collections.abc import Collection

from ground.waits import Growing

WAITS = Growing(1.0, 60.0)
"""The delay before a tenant is tried again."""


class PutOff:
    """The tenants that wait. Moments are in seconds since 1970."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}

    def waiting(self, now: float) -> set[str]:
        """Return the tenants that are not tried `now`."""
        return {tenant for tenant, (_, until) in self._failures.items() if not WAITS.over(until, now)}

    def tried(self, failed: Collection[str], written: Collection[str], now: float) -> None:
        """Note a round that ends `now`: the tenants with a report that could not be written, and with one that was.

        The time of the round itself, which may be long, is not a part of the delay.
        """
        for tenant in {*failed, *written}:
            failures, _ = self._failures.pop(tenant, (0, 0.0))
            if tenant not in written:
                self._failures[tenant] = failures + 1, now + WAITS.after(failures + 1)
