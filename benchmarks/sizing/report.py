"""The answers of the model, as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sizing.answers import SHARE, WAIT_S, Model, Needed, busiest_minute
from benchmarks.sizing.feeds import DAY_S, HOUR_S
from benchmarks.sizing.inputs import listed
from benchmarks.sizing.values import Day, Event, Failover, Fleet, Kill, Upgrade, percentile

GIB = 1024**3
KILLED_S = 60.0
"""Servers are killed so long after the hour of the peak; an upgrade begins with it."""


AWAY_S = 10.0
"""How long a failover of PostgreSQL takes."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """The busiest hour with something that happens in it."""

    what: str
    day: Day


def disturbed(model: Model, fleet: Fleet) -> Iterator[Disturbed]:
    """Return the busiest hour as it is, and with servers that end in it."""
    peak_s = model.assumed.peak_hour * HOUR_S
    half, tenth = max(1, fleet.nodes // 2), max(2, fleet.nodes // 10)
    killed_s = peak_s + KILLED_S
    cases: Sequence[tuple[str, list[Event]]] = [
        ("nothing", []),
        ("1 server is killed a minute after the hour", [Kill(killed_s, 1)]),
        (f"{half} servers are killed a minute after the hour", [Kill(killed_s, half)]),
        ("a rolling upgrade, 1 server at a time", [Upgrade(peak_s)]),
        (f"a rolling upgrade, {tenth} at a time", [Upgrade(peak_s, tenth)]),
        (f"PostgreSQL is away for {AWAY_S:.0f} s, a minute after the hour", [Failover(killed_s, AWAY_S)]),
    ]
    for what, those in cases:
        yield Disturbed(what, model.busiest(fleet, those))


def inputs(model: Model, about: Mapping[str, Any]) -> str:
    """Return the table of all inputs, each with its source."""
    measured = f"measured: {about['machine']}, {about['date']}"
    rows = [(each.name, each.value, each.source, each.what) for each in listed(model.costs, model.assumed)]
    return f"{measured}\n\n{_table(('input', 'value', 'source', 'what'), rows)}"


def answers(model: Model, found: Needed, fleet: Fleet, day: Day) -> str:
    """Return the table of what is needed, and of a whole day with it."""
    waits, took = model.waits(day), [each.took_s for each in day.ended]
    seconds = len(day.minutes) * 60.0
    nodes = sum(minute.nodes_busy for minute in day.minutes) / max(1, len(day.minutes))
    postgres = sum(minute.postgres_busy for minute in day.minutes) / max(1, len(day.minutes))
    most_nodes = max((minute.nodes_busy for minute in day.minutes), default=0.0)
    cores = fleet.nodes * fleet.node_cores
    wal = wal_bytes(model, fleet, day)
    first = sum(each.rows for each in model.feeds if each.kind == "first")
    rows = [
        ("lists sent; imports ended", f"{day.sent:,}; {len(day.ended):,}"),
        (
            f"servers so that {SHARE:.0%} wait less than {WAIT_S:.0f} s, if nothing waits for PostgreSQL",
            f"{found.nodes_alone}",
        ),
        ("servers, with a tenth more", f"{found.nodes}"),
        ("cores of PostgreSQL", f"{found.postgres_cores}"),
        ("wait for a server in the busiest hour: median; 99%; most", _three(waits)),
        ("from OK to the end, the whole day: median; 99%; most", _three(took)),
        ("most imports that wait", f"{day.most_waiting:,}"),
        ("cores of servers that work: on average; busiest minute", f"{nodes:.1f}; {most_nodes:.1f} of {cores:g}"),
        ("cores of PostgreSQL that work: on average; busiest minute", f"{postgres:.1f}; {busiest_minute(day):.1f}"),
        ("WAL a day; on average", f"{wal / GIB:,.0f} GiB; {wal / DAY_S / 1e6:.1f} MB/s"),
        ("connections to PostgreSQL", f"{fleet.nodes * model.costs.connections:,.0f}"),
        ("growth by new users a day", f"{first / 1000 * model.costs.stored_1000_bytes / GIB:.1f} GiB"),
        ("hours that were simulated", f"{seconds / HOUR_S:.1f}"),
    ]
    return _table(("what", "value"), rows)


def wal_bytes(model: Model, fleet: Fleet, day: Day) -> float:
    """Return the WAL of a day: of lists, of sessions without one, and of idle servers."""
    costs, assumed = model.costs, model.assumed
    sessions = costs.login.wal_bytes * assumed.logins_per_minute * DAY_S / 60
    idle = (costs.idle_node + costs.idle_tenants * (assumed.tenants / 1000)).wal_bytes * fleet.nodes * DAY_S
    return day.wal_bytes + sessions + idle


def disturbances(model: Model, those: Sequence[Disturbed]) -> str:
    """Return the table of what servers that end in the busiest hour change."""
    rows = [
        (
            each.what,
            _three(model.waits(each.day)),
            f"{each.day.interrupted:,}",
            f"{each.day.restarted:,}",
            f"{each.day.sent - len(each.day.ended):,}",
        )
        for each in those
    ]
    return _table(
        ("in the busiest hour", "wait: median; 99%; most", "sessions interrupted", "imports restarted", "lists lost"),
        rows,
    )


def _three(values: Sequence[float]) -> str:
    return "; ".join(f"{percentile(values, share):.1f} s" for share in (0.5, 0.99, 1.0))


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
