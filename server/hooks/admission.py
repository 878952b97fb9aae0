"""The limit of waiting imports of a tenant. A list that lands supersedes older waiting lists at once.

Imports are counted as they will be once the new file is queued: those that it replaces do not count. Until its
content is read, every new file is treated as a list, although a correction file replaces nothing. So one correction
file more than the limit may wait, but not two: the next one would replace at most one list.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from ground.moments import Clock, utc_now
from ground.refusals import Refusal
from ground.words import counted
from importer.errors import Refused, TryAgain
from importer.model import ImportState
from importer.queue.entry import Waiting
from importer.queue.order import waits_with
from importer.queue.pause import Pause, waits_by
from importer.queue.queue import Queue
from importer.requests import Sender
from importer.worker.turns import Turns
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantSettings

log = logging.getLogger(__name__)

SettingsOf = Callable[[str], Awaitable[TenantSettings]]


class Admission:
    """Admits uploads to the queue, and supersedes the imports that they replace."""

    def __init__(self, queue: Queue, turns: Turns, settings_of: SettingsOf, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._queue = queue
        self._turns = turns
        self._settings_of = settings_of

    async def admit(self, tenant: str, *, dry_run: bool) -> None:
        """Check that one more import of `tenant` may wait. Raises Refused (`too_many_waiting`) or TryAgain.

        If none waits, or the settings cannot be read, one more is allowed.
        """
        queued = await self._queue.queued(tenant)
        if queued and (settings := await self._settings(tenant)):
            refuse_if_full(queued, settings, dry_run=dry_run, pause=pause_of(settings, self._clock()))

    async def check_settings(self, tenant: str, sender: Sender | None) -> None:
        """Check that the settings are those of the dry run that the sender saw, if there was one.

        Raises Refused (`settings_differ`), TryAgain, and TenantRefused.
        """
        if sender and sender.tested is not None:
            settings = await self._settings_of(tenant)
            if settings.fingerprint != sender.settings:
                raise settings_differ()

    async def give_way(self, tenant: str) -> None:
        """Supersede the imports that a new file replaces, and delete their copies. Raises nothing.

        If that fails, the worker does it before its next import.
        """
        try:
            await self._turns.give_way(tenant)
        except (TryAgain, Refusal, OSError) as error:
            log.warning(
                "Imports of %s cannot be superseded by a newer list: %s; retrying.",
                *(tenant, error),
                extra={"event": "queue_waits", "tenant": tenant},
            )
        except Exception:
            facts = {"event": "worker_fault", "tenant": tenant}
            log.exception("Imports of %s cannot be superseded; retrying.", tenant, extra=facts)

    async def _settings(self, tenant: str) -> TenantSettings | None:
        """Return the settings, or None while they cannot be read: a temporary failure must not fail an upload."""
        try:
            return await self._settings_of(tenant)
        except (TryAgain, Refusal, OSError):
            return None


def settings_differ() -> Refused:
    return Refused("settings_differ", "the settings changed after this test. Test the file again")


def refuse_if_full(
    queued: Sequence[Waiting],
    settings: TenantSettings,
    *,
    dry_run: bool,
    pause: Pause | None = None,
    trial: bool = False,
    coming: int = 0,
) -> None:
    """Raise Refused (`too_many_waiting`) if one more import may not wait besides `queued` and `coming` others.

    A dry run does not wait for the imports that wait because of `pause`: they do not count for it.
    """
    last = queued[-1].sequence if queued else 0
    if dry_run:
        queued = [each for each in queued if not waits_by(pause, each)]
    new = Waiting("", 0, ImportState.QUEUED, last + 1, dry_run, trial=trial)
    waits = waits_with(queued, new, complete_lists=settings.deactivate_missing) - 1 + coming
    if waits >= settings.max_waiting_imports:
        raise Refused(
            "too_many_waiting",
            f"{counted(waits, 'import waits', 'imports wait')} already, and the limit is "
            f"{settings.max_waiting_imports:,} (max_waiting_imports). Send the file again when some have run",
        )
