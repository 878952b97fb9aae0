"""The comparison of the real world with the model, after each day."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ground.moments import from_rfc3339
from tests.soak.model import Tenant
from tests.soak.world import Size, World, rows_of

COPY = re.compile(r"(\d+)\.csv")
REPORT = re.compile(r"sync_users-(\d+)\.json")
METRIC = re.compile(r'headcount_imports_total\{state="(\w+)",tenant="(\w+)"\} (\S+)')
COUNTED = ("created", "updated", "reactivated", "deactivated", "deactivated_absent", "rejected")
BLOCK = 4096
MORE_DESCRIPTORS = 8
MORE_KIB = 24 * 1024
"""The most growth of a server process since its first day."""


def differences_of_users(tenant: Tenant, users_db: Path) -> Iterator[str]:
    """Yield what differs between the users in a database and those of the model."""
    statement = (
        "SELECT email, state = 'active' AS active, job_title, teams.name AS team, hire_date, leave_date, known"
        " FROM users LEFT JOIN teams ON teams.id = primary_team_id"
    )
    found = {row["email"]: row for row in rows_of(users_db, statement)}
    name = tenant.company.name
    for email in sorted(found.keys() ^ tenant.users.keys()):
        where = "is stored, and the model has no such user" if email in found else "is not stored"
        yield f"{name}: {email} {where}"
    for email in sorted(found.keys() & tenant.users.keys()):
        row, user = found[email], tenant.users[email]
        stored: tuple[object, ...] = (bool(row["active"]), bool(row["known"]))
        expected: tuple[object, ...] = (user.active, user.known)
        if user.known:
            stored += (row["job_title"], row["team"], _day(row["hire_date"]), _day(row["leave_date"]))
            expected += (user.title, user.team, user.hire_date, user.leave_date)
        if stored != expected:
            yield f"{name}: {email} is {stored}; the model says {expected}"


class Checks:
    """All comparisons. It collects the messages of the outbox over the days, because the server deletes old ones."""

    def __init__(self, world: World, tenants: dict[str, Tenant]) -> None:
        self.world = world
        self.tenants = tenants
        self.messages: dict[str, tuple[str, str, str]] = {}
        """Tenant, channel and topic of each message, by its id."""
        self.sent: set[str] = set()
        self._first: tuple[int, Size] | None = None

    def note_ends(self, begun: datetime) -> Iterator[str]:
        """Read the ends of imports that ended since `begun`; yield those that differ."""
        now = self.world.clock.now()
        for name, tenant in self.tenants.items():
            new = [each for each in tenant.records.values() if each.finished is None and each.state != "queued"]
            if not new:
                continue
            rows = self.world.rows("SELECT id, state, finished_at, outcome FROM imports WHERE tenant = ?", name)
            stored = {row["id"]: row for row in rows}
            for record in new:
                row = stored.get(record.id)
                if row is None or row["state"] != record.state:
                    state = row and row["state"]
                    yield f"{name}: import {record.id} is {state}; the model says {record.state}"
                    continue
                record.finished = from_rfc3339(row["finished_at"])
                if not begun <= record.finished.replace(microsecond=record.finished.microsecond + 999) or (
                    record.finished > now
                ):
                    yield f"{name}: import {record.id} ended at {record.finished}, not from {begun} to {now}"
                counts = json.loads(row["outcome"])["counts"] if row["outcome"] else {}
                if record.counts and (differs := {k: counts.get(k) for k in COUNTED}) != record.counts:
                    yield f"{name}: import {record.id} has the counts {differs}; the model says {record.counts}"

    def differences(self) -> Iterator[str]:
        """Yield what differs now. The server is idle."""
        now = self.world.clock.now()
        for tenant in self.tenants.values():
            yield from differences_of_users(tenant, self.world.server.files(tenant.company.name).users_db)
            yield from self._imports(tenant, now)
            yield from self._history(tenant, now)
            yield from self._files(tenant)
            yield from self._invitations(tenant)
            yield from self._runs(tenant)
        yield from self._metrics()
        yield from self._messages()

    # Imports

    def _imports(self, tenant: Tenant, now: datetime) -> Iterator[str]:
        name, folder = tenant.company.name, self.world.server.files(tenant.company.name)
        rows = self.world.rows("SELECT id, state FROM imports WHERE tenant = ?", name)
        yield from _within(f"{name}: listed imports", {row["id"] for row in rows}, tenant.must_and_may_store(now))
        for row in rows:
            record = tenant.records.get(row["id"])
            if record and record.state != row["state"]:
                yield f"{name}: import {record.id} is {row['state']}; the model says {record.state}"
        copies = {int(match[1]) for each in folder.uploads.iterdir() if (match := COPY.fullmatch(each.name))}
        yield from _within(f"{name}: kept files", copies, tenant.must_and_may_copy(now))
        if kept_bytes := tenant.company.kept_bytes:
            yield from self._kept(tenant, folder.uploads, kept_bytes)
        reports = {int(match[1]) for each in folder.results.iterdir() if (match := REPORT.fullmatch(each.name))}
        ended = [each for each in tenant.records.values() if each.state != "queued"]
        newest = {each.id for dry in (False, True) for each in [e for e in ended if e.dry_run is dry][-50:]}
        yield from _within(f"{name}: reports", reports, (newest, newest))

    def _kept(self, tenant: Tenant, uploads: Path, kept_bytes: int) -> Iterator[str]:
        """The files of ended imports take at most `kept_bytes`, but for that of the newest list."""
        lists = [each.id for each in tenant.applied if not each.correction][-1:]
        spared = {f"{each.id}.csv" for each in tenant.records.values() if each.state in ("queued", "held")}
        spared |= {f"{each}.csv" for each in lists}
        alone = [each.stat() for each in uploads.iterdir() if each.name not in spared]
        size = sum(each.st_size for each in alone if each.st_nlink == 1)
        if size > kept_bytes:
            yield f"{tenant.company.name}: the files of ended imports take {size} bytes, above kept_bytes"

    def _history(self, tenant: Tenant, now: datetime) -> Iterator[str]:
        """Compare the history of all users, and on some days what the API says of one."""
        name = tenant.company.name
        emails = {row["id"]: row["email"] for row in self.world.user_rows(name, "SELECT id, email FROM users")}
        found: set[tuple[int, str]] = set()
        for row in self.world.user_rows(name, "SELECT import_id, user_id, more FROM changes"):
            users = range(row["user_id"] - row["more"], row["user_id"] + 1)  # users in a row share an entry
            found |= {(row["import_id"], emails.get(each, f"user {each}")) for each in users}
        yield from _within(f"{name}: history", found, tenant.history(now))
        today = now.toordinal()
        if list(self.tenants)[today % len(self.tenants)] != name:
            return  # one company a day, because the API takes longer than all else here
        email = sorted(tenant.users)[today % len(tenant.users)]
        entries = self.world.api(f"tenants/{name}/users/{email}/history?limit=100")["changes"]
        told, stored = {each["import_id"] for each in entries}, {each for each, of in found if of == email}
        if len(entries) < 100 and told != stored:
            yield f"{name}: the API says that {sorted(told)} changed {email}, and {sorted(stored)} did"

    # Files

    def _files(self, tenant: Tenant) -> Iterator[str]:
        """Compare the visible files, and the bytes of the quota."""
        name, files = tenant.company.name, self.world.server.files(tenant.company.name)
        found = {
            str(each.relative_to(files.files)): each.stat().st_size
            for each in files.files.rglob("*")
            if each.is_file() and files.results not in each.parents
        }
        if found != tenant.files:
            differs = dict(found.items() ^ tenant.files.items())
            yield f"{name}: the visible files differ: {sorted(differs)}"
        if left := [each.name for each in files.staging.glob("*")]:
            yield f"{name}: left in staging: {left}"

    def quota_differs(
        self, tenant: Tenant, free_bytes: int, free_files: int, quotas: tuple[int, int]
    ) -> Iterator[str]:
        """Compare what a client is told of its quota with a walk of the folder."""
        name, files = tenant.company.name, self.world.server.files(tenant.company.name)
        walked = [each for each in files.files.rglob("*") if files.results not in (each, *each.parents)]
        size = sum(each.stat().st_size for each in walked if each.is_file())
        for record in tenant.records.values():
            copy = files.copy(record.id)
            if record.state in ("queued", "held") and not record.dry_run and copy.stat().st_nlink == 1:
                size += copy.stat().st_size
        made = {files.test, files.files / "invoices"}
        number = sum(each not in made for each in walked)
        expected = (quotas[0] - size) // BLOCK, quotas[1] - number
        if (free_bytes, free_files) != expected:
            yield f"{name}: a client sees {free_bytes} free blocks and {free_files} files; a walk gives {expected}"

    # Runs, metrics, messages

    def _runs(self, tenant: Tenant) -> Iterator[str]:
        rows = self.world.rows("SELECT id, state FROM runs WHERE tenant = ?", tenant.company.name)
        for row in rows:
            if tenant.runs.get(row["id"]) != row["state"]:
                yield f"{tenant.company.name}: run {row['id']} is {row['state']}, not {tenant.runs.get(row['id'])}"
        if tenant.runs and max(tenant.runs) not in {row["id"] for row in rows}:
            yield f"{tenant.company.name}: run {max(tenant.runs)} is not listed"

    def _metrics(self) -> Iterator[str]:
        text = self.world.get("/metrics").text
        counted = {(name, state): int(float(value)) for state, name, value in METRIC.findall(text)}
        for name, tenant in self.tenants.items():
            for state in sorted({*tenant.ended, *tenant.perhaps_ended, *(s for n, s in counted if n == name)}):
                found, sure = counted.get((name, state), 0), tenant.ended[state]
                if not sure <= found <= sure + tenant.perhaps_ended[state]:
                    yield f"{name}: headcount_imports_total of {state} is {found}; the model says {sure}"
                tenant.ended[state] = found
            tenant.perhaps_ended.clear()

    def _messages(self) -> Iterator[str]:
        for row in self.world.rows("SELECT message_id, tenant, channel, topic, state FROM outbox"):
            self.messages[row["message_id"]] = row["tenant"], row["channel"], _plain(row["topic"])
            if row["state"] == "sent":
                self.sent.add(row["message_id"])
        times = Counter(self.messages.values())
        for name, tenant in self.tenants.items():
            found = {(channel, topic) for company, channel, topic in times if company == name}
            both = tenant.must_send, tenant.must_send | tenant.may_send
            yield from _within(f"{name}: messages", found, both)
            for (company, channel, topic), number in times.items():
                if company == name and number > 1 and (channel, topic) not in tenant.may_send:
                    yield f"{name}: {number} messages of “{topic}” by {channel}"

    def received(self) -> Iterator[str]:
        """Compare the received mails and webhooks with the messages. The mail server has been there for a day."""
        mails = Counter(each["Message-ID"].strip("<>").partition("@")[0] for each in self.world.mail.mails)
        calls = Counter(each.headers["webhook-id"].removeprefix("msg_") for each in self.world.web.calls)
        for channel, received in (("mail", mails), ("webhook", calls)):
            sent = {key for key in self.sent if self.messages[key][1] == channel}
            waits = {key for key, each in self.messages.items() if each[1] == channel} - self.sent
            if lost := sent - received.keys():
                yield f"{channel}: recorded as sent, and not received: {[self.messages[key] for key in lost][:5]}"
            owed = [self.messages[key] for key in waits if not self.messages[key][2].startswith("stale")]
            if owed:
                yield f"{channel}: not sent: {owed[:5]}"
            if (twice := sum(number - 1 for number in received.values())) > self.world.kills:
                yield f"{channel}: {twice} messages were received twice after {self.world.kills} kills"

    def _invitations(self, tenant: Tenant) -> Iterator[str]:
        if not tenant.company.invites:
            return
        name = tenant.company.name
        rows = self.world.user_rows(name, "SELECT email_key, state FROM invitations WHERE state <> 'waiting'")
        invited = {row["email_key"] for row in rows if row["state"] == "sent"}
        yield from _within(f"{name}: invitations", invited, (tenant.must_invite, tenant.may_invite))

    # The process

    def size(self) -> Iterator[str]:
        """Compare memory and descriptors of the process with those after its first day."""
        size = self.world.size()
        if self._first is None or self._first[0] != self.world.pid:
            self._first = self.world.pid, size
        first = self._first[1]
        if size.descriptors > first.descriptors + MORE_DESCRIPTORS:
            yield f"the server has {size.descriptors} open descriptors, and had {first.descriptors}"
        if size.memory_kib > first.memory_kib + MORE_KIB:
            yield f"the server takes {size.memory_kib} KiB, and took {first.memory_kib}"


def _within(what: str, found: set[Any], bounds: tuple[set[Any], set[Any]]) -> Iterator[str]:
    must, may = bounds
    if missing := must - found:
        yield f"{what}: missing {sorted(missing)[:5]}"
    if extra := found - may:
        yield f"{what}: not expected {sorted(extra)[:5]}"


def _plain(topic: str) -> str:
    """Return a topic without the numbers that the server adds to it."""
    topic = re.sub(r"^was ", "", re.sub(r" #\d+$", "", topic))
    return " ".join(topic.split()[:3]) if topic.startswith(("run ", "import ")) else topic


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
