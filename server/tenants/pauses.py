"""The pause of a tenant's feed, as its settings say it. Pure."""

from __future__ import annotations

from datetime import datetime

from ground.moments import from_rfc3339
from importer.queue.pause import Pause
from importer.rules.settings import ImportSettings
from server.tenants.settings import TenantSettings


def pause_of(settings: ImportSettings, now: datetime) -> Pause | None:
    """Return the pause that `settings` say at `now`; None if the feed is not paused then."""
    if not isinstance(settings, TenantSettings) or settings.paused_until is None:
        return None
    until = from_rfc3339(settings.paused_until)
    return Pause(until, settings.paused_because or "") if now < until else None
