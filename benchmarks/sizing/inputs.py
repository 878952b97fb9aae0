"""The inputs of the model of a day: costs, which are measured, and assumptions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

MEASURED, ASSUMED = "measured", "assumed"
HOURS = 24
KINDS = ("unchanged", "changed", "first")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one piece of work for a server and for PostgreSQL.

    `node_s` and `postgres_s` are processor time. `waits_s` is the time in which neither works: for the disk, and for
    looks at the queue. `wal_bytes` is what PostgreSQL adds to its log.
    """

    node_s: float = 0.0
    postgres_s: float = 0.0
    waits_s: float = 0.0
    wal_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __mul__(self, times: float) -> Cost:
        return Cost(*(getattr(self, each.name) * times for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Costs:
    """The measured inputs. `OF_COSTS` has the work that each is of."""

    login: Cost = Cost()
    upload: Cost = Cost()
    upload_mib: Cost = Cost()
    unchanged: Cost = Cost()
    unchanged_1000: Cost = Cost()
    changed: Cost = Cost()
    changed_1000: Cost = Cost()
    first: Cost = Cost()
    first_1000: Cost = Cost()
    idle_node: Cost = Cost()
    idle_tenants: Cost = Cost()
    connections: float = 0.0
    stored_1000_bytes: float = 0.0
    row_bytes: float = 150.0

    def of_import(self, kind: str, rows: int) -> Cost:
        """Return the cost of an import of this kind, with the landing of its file."""
        fixed: Cost = getattr(self, kind)
        more: Cost = getattr(self, f"{kind}_1000")
        return fixed + more * (rows / 1000)

    def of_upload(self, rows: int) -> Cost:
        """Return the cost of the session that sends so many rows."""
        return self.login + self.upload + self.upload_mib * (rows * self.row_bytes / MIB)


OF_COSTS = {
    "login": "a session that does nothing: connect, log in, open SFTP, close",
    "upload": "an empty file in a session",
    "upload_mib": "1 MiB more of it",
    "unchanged": "landing and import of an empty list, sent again without a change",
    "unchanged_1000": "1,000 rows more of it",
    "changed": "landing and import of an empty list, sent again with 1% of the rows changed",
    "changed_1000": "1,000 rows more of it",
    "first": "landing and first import of an empty list",
    "first_1000": "1,000 rows more of it",
    "idle_node": "a server without work, a second",
    "idle_tenants": "1,000 tenants without work, for each server, a second",
    "connections": "connections of a server to PostgreSQL, with two imports",
    "stored_1000_bytes": "bytes by which 1,000 new users make the database larger, with their list",
    "row_bytes": "bytes of a row",
}


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The inputs that nothing has measured. `OF_ASSUMPTIONS` has the text and the unit of each."""

    tenants: int = 100_000
    logins_per_minute: float = 10_000
    hourly: float = 0.05
    at_peak: float = 0.25
    at_hours: float = 0.50
    peak_hour: int = 2
    late_s: float = 120.0
    rows_median: float = 500.0
    rows_mean: float = 2000.0
    rows_most: int = 1_000_000
    unchanged: float = 0.40
    first: float = 0.001
    node_cores: float = 1.0
    postgres_most: float = 0.7
    slower: float = 1.0
    session_s: float = 1.0
    found_s: float = 2.0
    start_s: float = 15.0
    drain_s: float = 30.0
    retry_s: float = 60.0


OF_ASSUMPTIONS = {
    "tenants": ("", "tenants"),
    "logins_per_minute": ("", "sessions a minute without a list, the whole day: clients that look for reports"),
    "hourly": ("of all", "tenants that send a list every full hour"),
    "at_peak": ("of the others", "tenants that send once a day, at the hour of the peak"),
    "at_hours": (
        "of the others",
        "tenants that send once a day, at another full hour, each alike; the rest: at any time",
    ),
    "peak_hour": ("o'clock", "the hour of the peak"),
    "late_s": ("s", "a list comes so long after its hour: the mean of an exponential distribution"),
    "rows_median": ("rows", "the median of the lists (lognormal)"),
    "rows_mean": ("rows", "the mean of the lists"),
    "rows_most": ("rows", "the longest list"),
    "unchanged": ("of all", "lists without a change"),
    "first": ("of all", "first lists of a tenant; the rest have 1% of their rows changed"),
    "node_cores": ("cores", "a server uses at most so many: Python runs one thread at a time"),
    "postgres_most": ("of its cores", "PostgreSQL may use so much in the busiest minute"),
    "slower": ("times", "the processor time that was measured"),
    "session_s": ("s", "a session that sends a list waits so long for its client"),
    "found_s": ("s", "until other servers take up the imports of a killed one"),
    "start_s": ("s", "until a server that was killed or stopped runs again"),
    "drain_s": ("s", "a server that stops ends what runs (STOP_GRACE_S)"),
    "retry_s": ("s", "until a client whose session was interrupted sends its list again"),
}
"""The unit and the text of each assumption."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One input as it is shown."""

    name: str
    value: str
    what: str
    source: str


def listed(costs: Costs, assumed: Assumptions) -> Iterator[Listed]:
    """Return every input, each with its source."""
    for name, what in OF_COSTS.items():
        yield Listed(name, _shown(getattr(costs, name)), what, MEASURED)
    for name, (unit, what) in OF_ASSUMPTIONS.items():
        value = getattr(assumed, name)
        yield Listed(
            name,
            f"{value:,} {unit}".rstrip() if isinstance(value, int) else f"{value:,g} {unit}".rstrip(),
            what,
            ASSUMED,
        )


def _shown(value: Cost | float) -> str:
    if not isinstance(value, Cost):
        return f"{value:,.0f}"
    parts = [f"{value.node_s * 1000:.3g} ms", f"PostgreSQL {value.postgres_s * 1000:.3g} ms"]
    if value.waits_s:
        parts.append(f"waits {value.waits_s * 1000:.3g} ms")
    return ", ".join([*parts, f"WAL {value.wal_bytes / 1024:,.1f} KiB"])


def costs_from(stored: Mapping[str, Any]) -> Costs:
    """Return the costs in the file of a measurement. Raises KeyError if one is missing."""
    found = {}
    for each in fields(Costs):
        value = stored[each.name]
        found[each.name] = Cost(**value) if isinstance(value, dict) else float(value)
    return Costs(**found)  # type: ignore[arg-type]
