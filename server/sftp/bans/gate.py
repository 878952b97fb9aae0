"""The gate: decides which addresses may connect now, by the penalties of their sources.

Its clock is monotonic, so a change of the system clock does not change the length of a ban.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ground.addresses import Address, plain, source_of
from server.files.contracts import Metrics
from server.settings import ServerSettings
from server.sftp.bans.penalties import Offense, Penalties, PenaltyRules

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeldBan:
    """A ban that ends in `rest_s` seconds."""

    rest_s: float
    reason: str


class Gate:
    """Bans by source address. Addresses in UNBANNED_NETWORKS get no penalty, and handshake caps do not count them."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unbanned = settings.unbanned_networks
        self._metrics = metrics
        self._clock = clock
        self._penalties = Penalties(
            PenaltyRules(
                no_login_s=settings.penalty_no_login_s,
                refused_s=settings.penalty_refused_s,
                grace_s=settings.penalty_grace_s,
                min_s=settings.penalty_min_s,
                max_s=settings.penalty_max_s,
            )
        )

    def exempt(self, address: Address) -> bool:
        """Return whether `address` is exempt from bans and from the caps on connections without a login."""
        return any(plain(address) in network for network in self._unbanned)

    def admits(self, address: Address) -> bool:
        """Return whether a connection from `address` may begin; if not, count it as limited."""
        if self.exempt(address) or not self._penalties.banned(source_of(address), self._clock()):
            return True
        self._metrics.login("", "limited")
        return False

    def punish(self, address: Address, offense: Offense) -> None:
        """Add the penalty of a connection from `address` that ended without a login, and log a ban that begins."""
        if self.exempt(address):
            return
        source, now = source_of(address), self._clock()
        ban = self._penalties.punish(source, offense, now)
        if ban is not None:
            self._metrics.source_banned()
            log.warning(
                "%s is banned for %.0f seconds: %s.",
                *(source, ban.until - now, ban.reason),
                extra={"event": "source_banned", "source": source},
            )

    def logged_in(self, address: Address) -> None:
        self._penalties.logged_in(source_of(address))

    def logged_out(self, address: Address) -> None:
        self._penalties.logged_out(source_of(address))

    def bans(self) -> dict[str, HeldBan]:
        """Return the active bans, by source."""
        now = self._clock()
        return {source: HeldBan(owed.until - now, owed.reason) for source, owed in self._penalties.bans(now).items()}

    def forgive(self, source: str) -> None:
        """Lift a ban."""
        self._penalties.forgive(source)

    def restore(self, source: str, ban: HeldBan) -> None:
        """Add a ban that began before the start."""
        self._penalties.restore(source, ban.rest_s, ban.reason, self._clock())
