"""What is counted, under the names other programs rely on.

Everything is per tenant and named here once. Dry runs count in none of the import metrics.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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

from ground.moments import from_rfc3339
from importer.model import APPLIED
from importer.queue.entry import Entry
from server.files.contracts import LoginResult, UploadResult
from server.tenants.feeds import Feed
from server.upkeep.exposition import ByTenant

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800)
OUTCOMES = ("created", "updated", "unchanged", "reactivated", "deactivated", "rejected", "ignored")
"""Of `headcount_import_rows_total`: the counts of a report (deactivated: with those who were absent)."""


class Metrics:
    """The metrics of one server. Satisfies `server.files.contracts.Metrics`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which nobody asked for
        self._registry = registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        self._by_tenant: list[ByTenant] = []
        self.imports = self._of_tenants(
            "headcount_imports", "Imports that ended, were held or became none", "counter", "state"
        )
        self.rows = self._of_tenants("headcount_import_rows", "What applied imports did", "counter", "outcome")
        self.duration = Histogram(
            "headcount_import_duration_seconds", "How long imports ran", buckets=SECONDS, registry=registry
        )
        self.queue_length = Gauge("headcount_import_queue_length", "Imports that wait", registry=registry)
        self.last_success = self._of_tenants(
            "headcount_import_last_success_timestamp_seconds", "When the newest applied import ended", "gauge"
        )
        self.stale = self._of_tenants(
            "headcount_feed_stale", "Whether no file was applied for as long as stale_after_days allows", "gauge"
        )
        self.broken = Gauge("headcount_tenants_broken", "Tenants whose data cannot be used", registry=registry)
        self.users = self._of_tenants("headcount_users", "Users", "gauge", "state")
        self.sessions = self._of_tenants("headcount_sftp_sessions", "SFTP sessions open now", "gauge")
        self.logins = self._of_tenants("headcount_sftp_logins", "Logins over SFTP", "counter", "result")
        self.bytes = self._of_tenants("headcount_sftp_bytes", "Bytes of file content", "counter", "direction")
        self.uploads = self._of_tenants("headcount_uploads", "Uploads", "counter", "result")
        self.outbox_length = Gauge(
            "headcount_outbox_length", "Messages that wait to be sent", ["channel"], registry=registry
        )
        self.deliveries = Counter(
            "headcount_deliveries",
            "Messages sent, tries that failed, messages given up",
            ["channel", "result"],
            registry=registry,
        )
        self.bans = Counter("headcount_bans", "Source addresses banned", registry=registry)
        self.banned_sources = Gauge("headcount_banned_sources", "Source addresses banned now", registry=registry)

    def _of_tenants(self, name: str, about: str, kind: Literal["counter", "gauge"], *labels: str) -> ByTenant:
        metric = ByTenant(name, about, kind, ("tenant", *labels))
        self._by_tenant.append(metric)
        return metric

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry) + "".join(each.render() for each in self._by_tenant).encode()

    # Imports

    def import_ended(self, entry: Entry, duration_s: float | None) -> None:
        """An import has come to an end, is held, or became none; it ran for `duration_s` if it ran."""
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
        """The newest applied import of `tenant` ended then (RFC 3339)."""
        self.last_success.set(from_rfc3339(finished_at).timestamp(), tenant)

    def success_undone(self, tenant: str, finished_at: str | None) -> None:
        """The newest applied import of `tenant` was undone; the one before it ended then, if there is one."""
        if finished_at:
            self.succeeded(tenant, finished_at)
        else:
            self.last_success.remove(tenant)

    def count_users(self, tenant: str, by_state: Mapping[str, int]) -> None:
        for state, count in by_state.items():
            self.users.set(count, tenant, state)

    def feeds(self, feeds: Iterable[Feed]) -> None:
        """How the feeds of all tenants stand. One without a limit has no such metric."""
        limited = {feed.tenant: feed.stale for feed in feeds if feed.stale is not None}
        self.stale.keep_only(limited.__contains__)
        for tenant, stale in limited.items():
            self.stale.set(stale, tenant)

    def keep_only(self, tenants: Collection[str]) -> None:
        """Tenants that are gone have no users any more, no last success and no feed."""
        for gauge in (self.users, self.last_success, self.stale):
            gauge.keep_only(tenants.__contains__)

    # What is told outside

    def delivered(self, channel: str, result: str) -> None:
        """A message by `mail`, `webhook` or as an `invitation` was `sent`, `failed` (for now) or `given_up`."""
        self.deliveries.labels(channel, result).inc()

    # SFTP

    def session_opened(self, tenant: str) -> None:
        self.sessions.add(1, tenant)

    def session_closed(self, tenant: str) -> None:
        self.sessions.add(-1, tenant)

    def login(self, tenant: str, result: LoginResult) -> None:
        self.logins.add(1, tenant, result)

    def source_banned(self) -> None:
        self.bans.inc()

    def transferred(self, tenant: str, direction: Literal["in", "out"], size: int) -> None:
        self.bytes.add(size, tenant, direction)

    def upload(self, tenant: str, result: UploadResult) -> None:
        self.uploads.add(1, tenant, result)
