"""How many imports of a tenant may wait, and that a list gives way at once to a newer one that lands.

What waits is counted as it will be once the new file is in the queue: what that replaces does not count. Of one that
is being placed it is not known yet whether it is a correction, which replaces nothing; it is taken for a list. So one
correction more may wait than there may, and no second: what the next one would replace is no more than one list.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from ground.refusals import Refusal
from importer.errors import Refused, TryAgain
from importer.model import ImportState
from importer.queue.entry import Waiting
from importer.queue.order import waits_with
from importer.queue.queue import Queue
from importer.worker.turns import Turns
from server.tenants.settings import TenantSettings

log = logging.getLogger(__name__)

SettingsOf = Callable[[str], Awaitable[TenantSettings]]


class Line:
    """What waits of each tenant, as uploads meet it."""

    def __init__(self, queue: Queue, turns: Turns, settings_of: SettingsOf) -> None:
        self._queue = queue
        self._turns = turns
        self._settings_of = settings_of

    async def admit(self, tenant: str, *, dry_run: bool) -> None:
        """Raises Refused (`too_many_waiting`) if no further import of `tenant` may wait; TryAgain.

        While nothing waits, or the settings cannot be read, one may.
        """
        queued = await self._queue.queued(tenant)
        if queued and (settings := await self._settings(tenant)):
            refuse_if_full(queued, settings, dry_run=dry_run)

    async def give_way(self, tenant: str) -> None:
        """A file has landed: what it replaces is superseded, and its copies are gone. Raises nothing.

        What cannot be done now is done at the next turn.
        """
        try:
            await self._turns.give_way(tenant)
        except (TryAgain, Refusal, OSError) as error:
            log.warning(
                "Imports of %s that a newer list replaces still wait: %s; retrying.",
                *(tenant, error),
                extra={"event": "queue_waits", "tenant": tenant},
            )
        except Exception:
            facts = {"event": "worker_fault", "tenant": tenant}
            log.exception("Imports of %s cannot be superseded; retrying.", tenant, extra=facts)

    async def _settings(self, tenant: str) -> TenantSettings | None:
        """The settings; None while they cannot be read: no upload fails for trouble of a moment."""
        try:
            return await self._settings_of(tenant)
        except (TryAgain, Refusal, OSError):
            return None


def refuse_if_full(
    queued: Sequence[Waiting], settings: TenantSettings, *, dry_run: bool, trial: bool = False, coming: int = 0
) -> None:
    """Raise Refused (`too_many_waiting`) if no further import may wait beside `queued` and `coming` others."""
    last = queued[-1].sequence if queued else 0
    new = Waiting("", 0, ImportState.QUEUED, last + 1, dry_run, trial=trial)
    waits = waits_with(queued, new, complete_lists=settings.deactivate_missing) - 1 + coming
    if waits >= settings.max_waiting_imports:
        raise Refused(
            "too_many_waiting",
            f"{waits} imports wait already, and {settings.max_waiting_imports} may (max_waiting_imports): "
            "wait until some have run, then send the file again",
        )
