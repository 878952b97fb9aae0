"""What is counted, under the names other programs rely on.

Everything is per tenant and named here once. Dry runs count in none of the import metrics.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
        self.imports = Counter(
            "headcount_imports",
            "Imports that ended, were held or became none",
            ["tenant", "state"],
            registry=registry,
        )
        self.rows = Counter(
            "headcount_import_rows", "What applied imports did", ["tenant", "outcome"], registry=registry
        )
        self.duration = Histogram(
            "headcount_import_duration_seconds", "How long imports ran", buckets=SECONDS, registry=registry
        )
        self.queue_length = Gauge("headcount_import_queue_length", "Imports that wait", registry=registry)
        self.last_success = Gauge(
            "headcount_import_last_success_timestamp_seconds",
            "When the newest applied import ended",
            ["tenant"],
            registry=registry,
        )
        self.stale = Gauge(
            "headcount_feed_stale",
            "Whether no file was applied for as long as stale_after_days allows",
            ["tenant"],
            registry=registry,
        )
        self.broken = Gauge("headcount_tenants_broken", "Tenants whose data cannot be used", registry=registry)
        self.users = Gauge("headcount_users", "Users", ["tenant", "state"], registry=registry)
        self.sessions = Gauge("headcount_sftp_sessions", "SFTP sessions open now", ["tenant"], registry=registry)
        self.logins = Counter("headcount_sftp_logins", "Logins over SFTP", ["tenant", "result"], registry=registry)
        self.bytes = Counter(
            "headcount_sftp_bytes", "Bytes of file content", ["tenant", "direction"], registry=registry
        )
        self.uploads = Counter("headcount_uploads", "Uploads", ["tenant", "result"], registry=registry)
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

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    # Imports

    def import_ended(self, entry: Entry, duration_s: float | None) -> None:
        """An import has come to an end, is held, or became none; it ran for `duration_s` if it ran."""
        if entry.dry_run:
            return
        self.imports.labels(entry.tenant, entry.state.value).inc()
        if duration_s is not None:
            self.duration.observe(duration_s)
        if entry.state in APPLIED and entry.outcome and entry.finished_at:
            for outcome in OUTCOMES:
                self.rows.labels(entry.tenant, outcome).inc(getattr(entry.outcome.counts, outcome))
            self.succeeded(entry.tenant, entry.finished_at)

    def succeeded(self, tenant: str, finished_at: str) -> None:
        """The newest applied import of `tenant` ended then (RFC 3339)."""
        self.last_success.labels(tenant).set(from_rfc3339(finished_at).timestamp())

    def success_undone(self, tenant: str, finished_at: str | None) -> None:
        """The newest applied import of `tenant` was undone; the one before it ended then, if there is one."""
        if finished_at:
            self.succeeded(tenant, finished_at)
        else:
            self.last_success.remove_by_labels({"tenant": tenant})

    def count_users(self, tenant: str, by_state: Mapping[str, int]) -> None:
        for state, count in by_state.items():
            self.users.labels(tenant, state).set(count)

    def feed(self, feed: Feed) -> None:
        """How the feed of a tenant stands. One without a limit has no such metric."""
        if feed.stale is None:
            self.stale.remove_by_labels({"tenant": feed.tenant})
        else:
            self.stale.labels(feed.tenant).set(feed.stale)

    def keep_only(self, tenants: Collection[str]) -> None:
        """Tenants that are gone have no users any more, no last success and no feed."""
        for gauge in (self.users, self.last_success, self.stale):
            for sample in next(iter(gauge.collect())).samples:
                if sample.labels["tenant"] not in tenants:
                    gauge.remove_by_labels({"tenant": sample.labels["tenant"]})

    # What is told outside

    def delivered(self, channel: str, result: str) -> None:
        """A message by `mail`, `webhook` or as an `invitation` was `sent`, `failed` (for now) or `given_up`."""
        self.deliveries.labels(channel, result).inc()

    # SFTP

    def session_opened(self, tenant: str) -> None:
        self.sessions.labels(tenant).inc()

    def session_closed(self, tenant: str) -> None:
        self.sessions.labels(tenant).dec()

    def login(self, tenant: str, result: LoginResult) -> None:
        self.logins.labels(tenant, result).inc()

    def source_banned(self) -> None:
        self.bans.inc()

    def transferred(self, tenant: str, direction: Literal["in", "out"], size: int) -> None:
        self.bytes.labels(tenant, direction).inc(size)

    def upload(self, tenant: str, result: UploadResult) -> None:
        self.uploads.labels(tenant, result).inc()
