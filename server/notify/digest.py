"""The weekly digest: a mail about the imports of one company in a week. Pure.

A week ends on Monday at 06:00 UTC. The digest of a week is about the imports that ended in it, and about what needs
work now: imports that are held, and a feed that is stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ground.moments import rfc3339
from ground.words import counted, listed
from importer.file.letters import one_line
from importer.model import APPLIED, Counts, ImportState
from importer.queue.entry import Entry
from importer.queue.pause import Pause
from server.notify.layout import Body, Link, Links, Section
from server.notify.letters import FIND_LIST, counted_users, first_sentence, shown_time, why_held

SHOWN = 20
"""The most imports in each list of a digest."""

TO_SEND_AGAIN = frozenset({ImportState.FAILED, ImportState.ABORTED, ImportState.IGNORED})

ENDS = {
    ImportState.COMPLETED: "applied",
    ImportState.COMPLETED_WITH_ERRORS: "applied",
    ImportState.UNCHANGED: "no changes",
    ImportState.HELD: "held",
    ImportState.DISCARDED: "discarded",
    ImportState.SUPERSEDED: "replaced by a newer file",
    ImportState.UNDONE: "undone",
    ImportState.FAILED: "failed",
    ImportState.ABORTED: "upload interrupted",
    ImportState.IGNORED: "ignored: wrong file name",
}


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days that end at `ends`, a Monday at 06:00 UTC."""

    ends: datetime

    @property
    def begins(self) -> datetime:
        return self.ends - timedelta(days=7)

    @property
    def day(self) -> str:
        """The date of its end: `2026-11-23`."""
        return f"{self.ends:%Y-%m-%d}"

    @property
    def topic(self) -> str:
        """The topic of its digests: each company gets one."""
        return f"digest {self.day}"

    def has(self, entry: Entry) -> bool:
        """Return whether a real import ended in this week."""
        ended = entry.finished_at
        return not entry.dry_run and ended is not None and rfc3339(self.begins) <= ended < rfc3339(self.ends)


def week_before(now: datetime) -> Week:
    """Return the newest week that has ended at `now`, which is in UTC."""
    shifted = now - timedelta(hours=6)
    monday = shifted - timedelta(days=shifted.weekday())
    return Week(monday.replace(hour=6, minute=0, second=0, microsecond=0))


def digest_mail(
    tenant: str,
    week: Week,
    ended: Sequence[Entry],
    held: Sequence[Entry],
    stale_days: int | None,
    links: Links,
    pause: Pause | None = None,
) -> Body:
    """Return the digest of `week`: `ended` are its imports, newest first; `held` those that are held now.

    `stale_days` is the limit of a feed that is stale now, else None. `pause` is that of the feed now.
    """
    needs = _needs(ended, held, stale_days)
    need = listed(needs) if needs else "there is nothing to do"
    imports = f"{counted(len(ended), 'import', 'imports')} of {tenant} ended"
    happened = imports if ended else f"no file of {tenant} arrived"
    sums = f": {_sums(ended)}" if ended else ""
    return Body(
        subject=f"[Headcount] {tenant}: week to {week.day}: {listed(needs) if needs else 'nothing to do'}",
        first=f"In the week to {week.day}, {happened}, and {need}{sums}.",
        link=Link("See the imports", links.imports(tenant), FIND_LIST),
        sections=(*_paused(tenant, pause), *_sections(tenant, ended, held, stale_days, links)),
        facts=(("Company", tenant),),
    )


def _needs(ended: Sequence[Entry], held: Sequence[Entry], stale_days: int | None) -> list[str]:
    """Return what people must do: a failed import before an applied one needs nothing more."""
    newest = next((entry for entry in ended if entry.state in APPLIED), None)
    failed = [each for each in ended if each.state in TO_SEND_AGAIN and (newest is None or each.id > newest.id)]
    rejected = _counts(newest).rejected if newest else 0
    found = []
    if held:
        found.append(counted(len(held), "import needs a decision", "imports need a decision"))
    if failed:
        found.append(counted(len(failed), "file must be sent again", "files must be sent again"))
    if rejected:
        found.append(counted(rejected, "rejected row must be fixed", "rejected rows must be fixed"))
    if stale_days is not None:
        found.append("the export must be checked")
    return found


def _paused(tenant: str, pause: Pause | None) -> Iterator[Section]:
    if pause is not None:
        reason = f" Reason: {pause.because}" if pause.because else ""
        until = shown_time(rfc3339(pause.until))
        yield Section(f"The imports of {tenant} are paused until {until}. Files that arrive wait until then.{reason}")


def _sections(
    tenant: str, ended: Sequence[Entry], held: Sequence[Entry], stale_days: int | None, links: Links
) -> Iterator[Section]:
    if held:
        yield Section("Held until an owner approves or discards them:", _listed(held, links, _decision))
    if failed := [entry for entry in ended if entry.state in TO_SEND_AGAIN]:
        yield Section("Failed, interrupted or ignored:", _listed(failed, links, _failure))
    if stale_days is not None:
        days = counted(stale_days, "day", "days")
        yield Section(
            f"No file of {tenant} was applied for {days}. Check that the export runs and its uploads arrive."
        )
    if ended:
        head = f"The newest {SHOWN} of {len(ended):,} imports:" if len(ended) > SHOWN else "Imports, newest first:"
        yield Section(head, _listed(ended, links, _end))


def _listed(entries: Sequence[Entry], links: Links, sentence: Callable[[Entry], str]) -> tuple[Link, ...]:
    return tuple(
        Link(f"Import {each.id}", links.one_import(*each.key), text=f"{_day(each)}, {sentence(each)}")
        for each in entries[:SHOWN]
    )


def _decision(entry: Entry) -> str:
    return first_sentence(why_held(entry.message))[0]


def _failure(entry: Entry) -> str:
    return f"{ENDS[entry.state]}. {one_line(entry.message or '')}".strip()


def _end(entry: Entry) -> str:
    end = ENDS.get(entry.state, entry.state.value)
    return f"{end}: {_sums([entry])}" if entry.state in APPLIED else end


def _day(entry: Entry) -> str:
    return shown_time(entry.finished_at or entry.uploaded_at)


def _sums(entries: Sequence[Entry]) -> str:
    """Return how many users the applied imports created and so on, and how many rows they rejected."""
    total, rejected = Counts(), 0
    for counts in (_counts(entry) for entry in entries if entry.state in APPLIED):
        rejected += counts.rejected
        for name in ("created", "updated", "reactivated", "deactivated"):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
    users = counted_users(total)
    return f"{users}; {counted(rejected, 'row', 'rows')} rejected" if rejected else users


def _counts(entry: Entry) -> Counts:
    return entry.outcome.counts if entry.outcome else Counts()
