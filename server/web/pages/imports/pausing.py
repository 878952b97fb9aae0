"""The pause of a tenant's feed on the page of its imports: its banner and its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ground.moments import rfc3339, utc_now
from importer.queue.pause import Pause, waits_by
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantSettings
from server.tenants.tenants import OPERATOR
from server.web.office import Visit
from server.web.pages.sentences import capital

NEWEST_CHANGES = 200
"""The newest changes of settings among which the author of a pause is searched."""


@dataclass(frozen=True, slots=True)
class PauseForm:
    """The form of a pause as it was sent: `until` as `2026-12-31T08:00` in UTC, with the errors by field."""

    until: str = ""
    because: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShownPause:
    """The pause that the page shows: its end (RFC 3339), its author ("" if unknown), and how many files wait."""

    until: str
    because: str
    by: str
    files: int


def form_of(pause: Pause | None) -> PauseForm:
    """Return the form before it is sent: with the pause that lasts now, or blank. Pure."""
    return PauseForm(typed_form(pause.ends_at), pause.because) if pause else PauseForm()


def typed_form(moment: str) -> str:
    """Return a time (RFC 3339, in UTC) as a control for a date and a time has it. Pure."""
    return moment[:16]


def moment_of(until: str, instant: str) -> str:
    """Return the end that was sent, for the setting. Pure.

    `instant` is RFC 3339: the script of the page knows the zone of the reader. Without it, `until` is in UTC.
    """
    if not until.strip():
        return ""
    try:
        return rfc3339(datetime.fromisoformat(instant or f"{until.strip()}Z"))
    except (ValueError, OverflowError):
        return until


def author_of(by: str) -> str:
    """Return the author of a change as the beginning of a sentence. Pure."""
    return "The operator" if by == OPERATOR else capital(by)


async def shown_pause(visit: Visit, settings: TenantSettings) -> ShownPause | None:
    """Return the pause of the tenant with these settings; None if it is not paused now."""
    pause = pause_of(settings, utc_now())
    if pause is None:
        return None
    changes, _ = await visit.office.tenants.settings_history(visit.tenant, NEWEST_CHANGES)
    authors = (author_of(each["changed_by"]) for each in changes if each["key"] == "paused_until")
    queued = await visit.office.reader.queued(visit.tenant)
    files = sum(waits_by(pause, each) for each in queued)
    return ShownPause(pause.ends_at, pause.because, next(authors, ""), files)
