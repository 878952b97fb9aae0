"""The pause of a tenant's feed, as its settings say it, and its pauses so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Span:
    """A pause from its first setting to its end, however often its end was changed."""

    begin: datetime
    end: datetime

    def lasts(self, now: datetime) -> bool:
        """Return whether the feed is paused at `now` by this pause."""
        return self.begin <= now < self.end


def spans(changes: Iterable[Mapping[str, Any]]) -> list[Span]:
    """Return the pauses that `changes` of settings made, oldest first. The newest change comes first."""
    found: list[Span] = []
    for change in reversed([each for each in changes if each["key"] == "paused_until"]):
        at = from_rfc3339(change["changed_at"])
        begin = at
        if found and found[-1].lasts(at):
            begin = found[-1].begin
            found[-1] = Span(begin, at)
        if change["new"] is not None:
            if found and found[-1].begin == begin:
                found.pop()
            found.append(Span(begin, from_rfc3339(change["new"])))
    return found


def counted_from(since: datetime, limit: timedelta, pauses: Iterable[Span], now: datetime) -> datetime:
    """Return the time from which a feed without a file since `since` is stale after `limit`.

    A pause begins this time anew at its end, unless the feed was stale already when the pause began.
    """
    for pause in pauses:
        if pause.end > since and pause.begin - since < limit:
            since = max(since, min(pause.end, now))
    return since
