"""The plain model of one company: its users, imports, history, copies and messages, as they should be. Pure.

Times are those of the wall clock that the server sees. Data that expires is deleted within days of that moment, so
the model says what must be there and what may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from tests.soak.company import Company
from tests.soak.records import NOBODY, Record, User, Verdict, change_of, stored
from tests.soak.sheets import Sheet

APPLIED = ("completed", "completed_with_errors", "unchanged")
NOTIFIED = ("completed", "completed_with_errors", "held", "failed", "aborted")
WITHOUT_COPY = ("discarded", "superseded", "aborted", "ignored")
FAILED_KEPT = 10
REPORTS_KEPT = 50
NOT_PRUNED_YET = 10
"""The most imports whose reports are gone and that retention has not deleted yet."""
CHECKSUMS_KEPT = 50
MAX_DEACTIVATIONS = 10, 5
"""The percent and the number up to which no import is held."""
MAX_ROW_DROP_PERCENT = 20


class Tenant:
    """The data that the server should have of a company."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.users: dict[str, User] = {}
        self.records: dict[int, Record] = {}
        self.applied: list[Record] = []
        """Applied imports in their order, without undone ones."""
        self.waiting: list[tuple[Record, Sheet]] = []
        """Imports that wait for the end of a pause."""
        self.newest_file = ""
        """The SHA-256 of the newest file that landed for import."""
        self.checksums: list[str] = []
        """The checksums that were sent for real imports."""
        self.unproven: list[Record] = []
        """Imports that wait for their checksums, which do not come."""
        self.paused_until: datetime | None = None
        self.pauses: list[tuple[datetime, datetime]] = []
        """Begins and ends of all pauses."""
        self.ended: Counter[str] = Counter()
        """Ends of imports by state, as the metric counts them."""
        self.perhaps_ended: Counter[str] = Counter()
        """Ends around a kill: the metric counts each of them, or does not."""
        self.must_send: set[tuple[str, str]] = set()
        self.may_send: set[tuple[str, str]] = set()
        self.must_invite: set[str] = set()
        self.may_invite: set[str] = set()
        self.files: dict[str, int] = {}
        """The visible files and their sizes, without reports."""
        self.runs: dict[int, str] = {}
        """The states of runs of the other hook."""

    def restarted(self) -> None:
        """A new process counts from zero."""
        self.ended.clear()
        self.perhaps_ended.clear()

    @contextmanager
    def unsure(self) -> Iterator[None]:
        """Note all ends within as perhaps counted."""
        before = self.ended.copy()
        yield
        self.perhaps_ended += self.ended - before
        self.ended = before

    # Imports

    def pause(self, begin: datetime, end: datetime) -> None:
        self.paused_until = end
        self.pauses.append((begin, end))

    def arrives(self, size: int, *, dry_run: bool = False) -> Record:
        """Return the record of a new import."""
        record = Record(len(self.records) + 1, size, dry_run=dry_run)
        self.records[record.id] = record
        return record

    def ends(self, record: Record, state: str) -> None:
        """Note the end of an import, as the metric and the notifications see it."""
        if record.state != "held" or state not in WITHOUT_COPY:  # a held import has ended already
            record.finished = record.shown = None  # `finished_at` is read and checked later
        record.state = state
        if record.dry_run:
            return
        self.ended[state] += 1
        if state in NOTIFIED:
            self.hear(f"import {record.id} {state}")

    def hear(self, topic: str, *, sure: bool = True, mail: bool = True, webhook: bool = True) -> None:
        """Expect a message of this topic on each channel of the company."""
        wanted = self.must_send if sure else self.may_send
        wanted |= {("mail", topic)} if mail and self.company.mail else set()
        wanted |= {("webhook", topic)} if webhook and self.company.webhook else set()

    def lands(self, record: Record, sheet: Sheet, now: datetime, *, proven: bool | None = None) -> None:
        """Apply a file, or let it wait for the end of a pause. `proven`: whether it matches its checksum, if any."""
        if not record.dry_run and self.paused_until and now < self.paused_until:
            if self.company.whole:
                for old, _ in self.waiting:
                    self.ends(old, "superseded")
                self.waiting.clear()
            self.waiting.append((record, sheet))
        else:
            self.runs_now(record, sheet, now, proven=proven)

    def release(self, now: datetime) -> None:
        """Run the imports whose pause is over at `now`."""
        while self.waiting and not (self.paused_until and now < self.paused_until):
            self.runs_now(*self.waiting.pop(0), now)

    def proves(self, digest: str) -> bool:
        """Return whether a file of this SHA-256 matches a checksum that was sent, whenever that was."""
        return digest in self.checksums[-CHECKSUMS_KEPT:]

    def an_hour_passes(self) -> None:
        """Imports that wait for their checksums fail."""
        for record in self.unproven:
            self.ends(record, "failed")
        self.unproven.clear()

    def runs_now(self, record: Record, sheet: Sheet, now: datetime, *, proven: bool | None = None) -> None:
        verdict = Verdict("failed") if proven is False else self.judge(sheet, now, proven=bool(proven))
        if not record.dry_run and not sheet.correction:
            self.supersede()
        record.correction = sheet.correction
        self.conclude(record, sheet, verdict)

    def supersede(self) -> None:
        """A newer file replaces the held imports."""
        for each in self.records.values():
            if each.state == "held" and not each.dry_run:
                self.ends(each, "superseded")

    def conclude(self, record: Record, sheet: Sheet, verdict: Verdict) -> None:
        """Note the end of an import, and its effect if it was applied."""
        record.counts = verdict.counts or None
        self.ends(record, verdict.state)
        if verdict.state not in APPLIED or record.dry_run:
            return
        record.rows = sheet.row_count
        record.touched = verdict.touched
        record.before = dict(self.users) if verdict.touched else None
        self.users = dict(verdict.users)
        present = [each.email for each in sheet.rows if self.users.get(each.email, NOBODY).active]
        record.last_user = present[-1] if present else ""
        self.applied.append(record)

    def approve(self, record: Record, sheet: Sheet, now: datetime) -> None:
        self.conclude(record, sheet, replace(self._effect(sheet, now), state="completed"))

    def can_be_undone(self) -> Record | None:
        """Return the import that an undo takes: the newest that changed a user. None if it may be refused."""
        changed = [each for each in self.applied if each.touched]
        busy = any(each.state in ("queued", "running") for each in self.records.values())
        return changed[-1] if changed and not busy else None

    def undo(self, record: Record) -> None:
        """Set all users back. Those that the import created are deactivated, and count as created if they return."""
        assert record.before is not None
        before = record.before
        self.users = {
            email: before[email] if email in before else replace(user, active=False, known=False)
            for email, user in self.users.items()
        }
        self.applied.remove(record)
        ended, shown = record.finished, record.shown
        self.ends(record, "undone")
        record.finished, record.shown = ended, shown  # it ended when it was applied

    # The effect of a file

    def judge(self, sheet: Sheet, now: datetime, *, proven: bool = False) -> Verdict:
        if sheet.fails or not sheet.rows:
            return Verdict("failed")
        effect = self._effect(sheet, now)
        active = sum(user.active for user in self.users.values())
        gone, absent = effect.counts["deactivated"], effect.counts["deactivated_absent"]
        percent, least = MAX_DEACTIVATIONS
        many = (gone * 100 > percent * active and gone > least) or (gone * 2 > active and gone >= 2)
        doubtful = not proven and not sheet.correction and self._may_be_incomplete(sheet)
        held = many or (doubtful and absent)
        return replace(effect, state="held") if held else effect

    def _may_be_incomplete(self, sheet: Sheet) -> bool:
        last = next((each for each in reversed(self.applied) if not each.correction), None)
        dropped = last is not None and (last.rows - sheet.row_count) * 100 > MAX_ROW_DROP_PERCENT * last.rows
        return sheet.cut or dropped

    def _effect(self, sheet: Sheet, now: datetime) -> Verdict:
        users, touched = dict(self.users), set()
        counts = dict.fromkeys(("created", "updated", "reactivated", "deactivated", "deactivated_absent"), 0)
        for row in sheet.rows:
            old = users.get(row.email)
            what = change_of(old, row, now)
            if what:
                counts[what] += 1
                touched.add(row.email)
                users[row.email] = stored(row, active=not row.has_left(now))
        if self.company.whole and not sheet.correction:
            present = {*sheet.rejected, *(row.email for row in sheet.rows)}
            for email in [email for email, user in users.items() if user.active and email not in present]:
                users[email] = replace(users[email], active=False)
                counts["deactivated"] += 1
                counts["deactivated_absent"] += 1
                touched.add(email)
        counts["rejected"] = len(sheet.rejected)
        state = "completed" if touched else "unchanged"
        return Verdict("completed_with_errors" if sheet.rejected else state, counts, users, frozenset(touched))

    # The data that must be stored

    def may_keep(self, now: datetime) -> set[int]:
        """Return the imports that may be stored whatever their age: those after the oldest that an undo may reach.

        That is the newest applied, changing or compared one, or one that has not expired: after a step of the clock
        an import may expire before an older one.
        """
        lists = [each.id for each in self.applied if not each.correction]
        changing = [each.id for each in self.applied if each.touched]
        stays = {*lists[-1:], *changing[-1:], *(each.id for each in self.applied[-1:])}
        days = self.company.retention_days
        stays |= {each for each in changing if not self.records[each].expired(days, now)}
        return {each for each in self.records if stays and each >= min(stays)}

    def must_and_may_store(self, now: datetime) -> tuple[set[int], set[int]]:
        """Return the imports that must be listed, and those that may be."""
        days, must, may = self.company.retention_days, set(), self.may_keep(now)
        listed = REPORTS_KEPT + NOT_PRUNED_YET
        for dry_run in (False, True):
            may |= set(sorted(each.id for each in self.records.values() if each.dry_run is dry_run)[-listed:])
        for each in self.records.values():
            must |= {each.id} if each.fresh(days) else set()
            may |= set() if each.expired(days, now) else {each.id}
        return must, may

    def must_and_may_copy(self, now: datetime) -> tuple[set[int], set[int]]:
        """Return the imports whose uploaded file must be kept, and those whose file may be."""
        days, must, may, size = self.company.retention_days, set(), set(), 0
        kept = self.may_keep(now)
        newest_failed = [each.id for each in self.records.values() if each.state == "failed" and not each.dry_run]
        for each in reversed(self.records.values()):
            if each.dry_run or each.state in WITHOUT_COPY:
                continue
            if each.state == "failed" and each.id not in newest_failed[-FAILED_KEPT:]:
                continue
            if each.state in ("queued", "held"):
                must.add(each.id)
            size += each.size
            fits = not self.company.kept_bytes or size <= self.company.kept_bytes
            must |= {each.id} if fits and each.fresh(days) else set()
            may |= {each.id} if not each.expired(days, now) or each.id in kept else set()
        return must, may | must

    def history(self, now: datetime) -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
        """Return which import must be in the history of which user, and which may be."""
        days, must, may, kept = self.company.retention_days, set(), set(), self.may_keep(now)
        for each in self.records.values():
            entries = {(each.id, email) for email in each.touched}
            must |= entries if each.fresh(days) else set()
            may |= entries if not each.expired(days, now) or each.id in kept else set()
        return must, may

    def shows(self, now: datetime) -> None:
        """The server has seen this time."""
        for each in self.records.values():
            if each.finished is not None:
                each.shown = max(each.shown or now, now)

    # Messages that time brings

    def looks_at_feeds(self, now: datetime, created: datetime, *, sure: bool) -> None:
        """Expect the messages that the server writes at `now`; if not `sure`, it may write them."""
        if self.company.stale_days:
            self._looks_at_feed(now, created, sure=sure)
        if self.paused_until and timedelta() < self.paused_until - now <= timedelta(days=1):
            self.hear(f"pause until {_rfc3339(self.paused_until)}", sure=sure)
        if self.company.digest:
            shifted = now - timedelta(hours=6)
            monday = shifted - timedelta(days=shifted.weekday())
            week = monday.replace(hour=6, minute=0, second=0, microsecond=0)
            if created < week:
                self.hear(f"digest {week:%Y-%m-%d}", sure=sure, webhook=False)

    def _looks_at_feed(self, now: datetime, created: datetime, *, sure: bool) -> None:
        """Expect the message about a stale feed. A pause begins its time anew, unless it was stale before."""
        limit = timedelta(days=self.company.stale_days)
        last = self.applied[-1].finished if self.applied else created
        if last is None or any(begin <= now < end for begin, end in self.pauses):
            return
        since = last
        for begin, end in self.pauses:
            if since < end and begin - since < limit:
                since = max(since, min(end, now))
        if now - since >= limit:
            self.hear(f"stale since {_rfc3339(last) if self.applied else None}", sure=sure)

    def invites(self, now: datetime, *, sure: bool) -> None:
        """Expect the invitations of users whose hire date has come at `now`."""
        if self.company.invites:
            due = {email for email, user in self.users.items() if user.active and user.hire_date <= now.date()}
            self.may_invite |= due
            self.must_invite |= due if sure else set()


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
