"""Which addresses may connect now: the penalties of their sources, by the clock of this process.

The clock is monotonic, so that a system clock that is set lengthens or shortens no ban.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ground.addresses import Address, plain, source_of
from server.files.contracts import Metrics
from server.settings import ServerSettings
from server.sftp.penalties import Offence, Penalties, PenaltyRules

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeldBan:
    """A ban that ends in `rest_s` seconds."""

    rest_s: float
    reason: str


class Gate:
    """Bans by source address. Addresses in UNBANNED_NETWORKS earn no penalty, and no cap counts them."""

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
        """Return whether `address` is never banned nor capped."""
        return any(plain(address) in network for network in self._unbanned)

    def admits(self, address: Address) -> bool:
        """Return whether a connection from `address` may begin, and count it as limited if not."""
        if self.exempt(address) or not self._penalties.banned(source_of(address), self._clock()):
            return True
        self._metrics.login("", "limited")
        return False

    def punish(self, address: Address, offence: Offence) -> None:
        """A connection from `address` ended without a login."""
        if self.exempt(address):
            return
        source, now = source_of(address), self._clock()
        ban = self._penalties.punish(source, offence, now)
        if ban is not None:
            self._metrics.source_banned()
            log.warning(
                "%s is banned for %.0f seconds: %s",
                *(source, ban.until - now, ban.reason),
                extra={"event": "source_banned", "source": source},
            )

    def logged_in(self, address: Address) -> None:
        self._penalties.logged_in(source_of(address))

    def logged_out(self, address: Address) -> None:
        self._penalties.logged_out(source_of(address))

    def bans(self) -> dict[str, HeldBan]:
        """Return the bans that hold now, by source."""
        now = self._clock()
        return {source: HeldBan(owed.until - now, owed.reason) for source, owed in self._penalties.bans(now).items()}

    def forgive(self, source: str) -> None:
        """Lift a ban."""
        self._penalties.forgive(source)

    def restore(self, source: str, ban: HeldBan) -> None:
        """Put back a ban of before the start."""
        self._penalties.restore(source, ban.rest_s, ban.reason, self._clock())
