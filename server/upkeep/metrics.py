"""The metrics. Other programs rely on their names.

Dry runs are not counted in the import metrics.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import product
from typing import Literal

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from engine.runs import Run
from ground.moments import from_rfc3339
from headcount import __version__
from importer.model import APPLIED
from importer.queue.entry import Entry
from server.files.contracts import LoginResult, UploadResult
from server.tenants.feeds import Feed
from server.upkeep.exposition import ByTenant

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800)
OUTCOMES = ("created", "updated", "unchanged", "reactivated", "deactivated", "rejected", "ignored")
"""The outcomes of `headcount_import_rows_total`: counts of a report; `deactivated` includes absent users."""

CHANNELS, RESULTS = ("mail", "webhook", "invitation"), ("sent", "failed", "given_up")
"""The labels of `headcount_deliveries_total`."""


class ServerMetrics:
    """The metrics of one server that have no tenant."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it adds a series to each metric
        self._registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self._registry.register(collector)
        gauge, counter = partial(Gauge, registry=self._registry), partial(Counter, registry=self._registry)
        self.build_info = gauge("headcount_build_info", "1, with the version of Headcount", ["version"])
        self.build_info.labels(__version__).set(1)
        self.duration = Histogram(
            *("headcount_import_duration_seconds", "Run time of imports in seconds"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self.queue_length = gauge("headcount_import_queue_length", "Queued imports of all tenants")
        self.queue_postponed = gauge(
            "headcount_import_queue_postponed",
            "Queued imports that wait for the end of a pause or for a checksum, also of an import before them",
        )
        self.broken = gauge("headcount_tenants_broken", "Tenants whose data cannot be used")
        self.ready = gauge("headcount_ready", "1 if this part of the server works, else 0", ["part"])
        self.hooks_broken = gauge("headcount_hooks_broken", "Hooks that cannot run")
        self.disk_free = gauge("headcount_disk_free_bytes", "Free space of the disk with the data folder, in bytes")
        self.disk_size = gauge("headcount_disk_size_bytes", "Size of the disk with the data folder, in bytes")
        self.last_backup = gauge(
            "headcount_backup_last_success_timestamp_seconds",
            "Begin of the newest complete backup (Unix time); 0: none is known",
        )
        self.outbox_length = gauge("headcount_outbox_length", "Messages to be sent, by channel", ["channel"])
        self.deliveries = counter(
            "headcount_deliveries",
            "Messages sent, failed tries and messages given up, by channel",
            ["channel", "result"],
        )
        for labels in product(CHANNELS, RESULTS):
            self.deliveries.labels(*labels)  # rules see a counter grow only from a sample that is there
        self.bans = counter("headcount_bans", "Source addresses banned")
        self.banned_sources = gauge("headcount_banned_sources", "Source addresses banned now")

    def parts(self, parts: Mapping[str, bool]) -> None:
        """Show which parts of /readyz work."""
        for part, works in parts.items():
            self.ready.labels(part).set(works)

    def disk(self, free: int, size: int) -> None:
        """Show the space of the disk with the data folder, in bytes."""
        self.disk_free.set(free)
        self.disk_size.set(size)

    def delivered(self, channel: str, result: str) -> None:
        """Count a message by `mail`, `webhook` or `invitation` that was `sent`, `failed` once or was `given_up`."""
        self.deliveries.labels(channel, result).inc()

    def source_banned(self) -> None:
        self.bans.inc()


class Metrics(ServerMetrics):
    """The metrics of one server. Satisfies `server.files.contracts.Metrics`."""

    def __init__(self) -> None:
        super().__init__()
        self._by_tenant: list[ByTenant] = []
        self._held: Mapping[str, str] = {}
        self.shows_tenants = True
        """Whether facts about tenants are shown, which are the same on all servers that share their data."""
        self.imports = self._of_tenants(
            "headcount_imports", "Imports that ended or were held, by state", "counter", "state"
        )
        self.rows = self._of_tenants(
            "headcount_import_rows", "Rows and users of applied imports, by outcome", "counter", "outcome"
        )
        self.last_success = self._of_tenants(
            "headcount_import_last_success_timestamp_seconds", "End of the newest applied import (Unix time)", "gauge"
        )
        self.stale = self._of_tenants(
            "headcount_feed_stale", "1 if no file was applied for stale_after_days, else 0", "gauge"
        )
        self.held_since = self._of_tenants(
            "headcount_import_held_since_timestamp_seconds",
            "When the oldest import was held that needs a decision (Unix time)",
            "gauge",
        )
        self.users = self._of_tenants("headcount_users", "Users, by state", "gauge", "state")
        self.sessions = self._of_tenants("headcount_sftp_sessions", "SFTP sessions open now", "gauge")
        self.logins = self._of_tenants("headcount_sftp_logins", "Logins over SFTP, by result", "counter", "result")
        self.bytes = self._of_tenants(
            "headcount_sftp_bytes", "Bytes of file content, by direction", "counter", "direction"
        )
        self.uploads = self._of_tenants("headcount_uploads", "Uploads, by result", "counter", "result")
        self.hook_runs = self._of_tenants(
            "headcount_hook_runs", "Runs of hooks that ended, by hook and state", "counter", "hook", "state"
        )

    def _of_tenants(self, name: str, about: str, kind: Literal["counter", "gauge"], *labels: str) -> ByTenant:
        metric = ByTenant(name, about, kind, ("tenant", *labels))
        self._by_tenant.append(metric)
        return metric

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        hidden = () if self.shows_tenants else (self.users, self.last_success, self.stale, self.held_since)
        shown = [each for each in self._by_tenant if each not in hidden]
        return generate_latest(self._registry) + "".join(each.render() for each in shown).encode()

    # Imports

    def import_ended(self, entry: Entry, duration_s: float | None) -> None:
        """Count an import that ended or is held. `duration_s` is its run time, None if it never ran."""
        if entry.dry_run:
            return
        self.imports.add(1, entry.tenant, entry.state.value)
        if duration_s is not None:
            self.duration.observe(duration_s)
        if entry.state in APPLIED and entry.outcome and entry.finished_at:
            for outcome in OUTCOMES:
                self.rows.add(getattr(entry.outcome.counts, outcome), entry.tenant, outcome)
            self.succeeded(entry.tenant, entry.finished_at)

    def succeeded(self, tenant: str, finished_at: str) -> None:
        """Note when the newest applied import of `tenant` ended (RFC 3339)."""
        self.last_success.set(from_rfc3339(finished_at).timestamp(), tenant)

    def success_undone(self, tenant: str, finished_at: str | None) -> None:
        """Note that the newest applied import of `tenant` was undone; the previous one ended at `finished_at`."""
        if finished_at:
            self.succeeded(tenant, finished_at)
        else:
            self.last_success.remove(tenant)

    def count_users(self, tenant: str, by_state: Mapping[str, int]) -> None:
        for state, count in by_state.items():
            self.users.set(count, tenant, state)

    def feeds(self, feeds: Iterable[Feed]) -> None:
        """Show for each feed with a limit whether it is stale; remove the metric of all others."""
        limited = {feed.tenant: feed.stale for feed in feeds if feed.stale is not None}
        self.stale.keep_only(limited.__contains__)
        for tenant, stale in limited.items():
            self.stale.set(stale, tenant)

    def held(self, since: Mapping[str, str]) -> None:
        """Show when the oldest held import of each tenant was held (RFC 3339); remove the metric of all others."""
        for tenant in self._held.keys() - since.keys():
            self.held_since.remove(tenant)
        for tenant, moment in since.items():
            if self._held.get(tenant) != moment:
                self.held_since.set(from_rfc3339(moment).timestamp(), tenant)
        self._held = dict(since)

    def keep_only(self, tenants: Collection[str]) -> None:
        """Remove the gauges of all other tenants: users, last success and stale feed."""
        for gauge in (self.users, self.last_success, self.stale):
            gauge.keep_only(tenants.__contains__)

    # Hooks

    def run_ended(self, run: Run) -> None:
        """Count a run of a hook that ended, or an upload that became none."""
        self.hook_runs.add(1, run.tenant, run.hook, run.state.value)

    # SFTP

    def session_opened(self, tenant: str) -> None:
        self.sessions.add(1, tenant)

    def session_closed(self, tenant: str) -> None:
        self.sessions.add(-1, tenant)

    def login(self, tenant: str, result: LoginResult) -> None:
        self.logins.add(1, tenant, result)

    def transferred(self, tenant: str, direction: Literal["in", "out"], size: int) -> None:
        self.bytes.add(size, tenant, direction)

    def upload(self, tenant: str, result: UploadResult) -> None:
        self.uploads.add(1, tenant, result)
