"""A day of several servers on one database, event by event. Pure: the same input gives the same day.

A list is sent in a session: work of a server, then of PostgreSQL. Then its client has the OK, and the import waits
for a server that runs less than two, and for the tenant's import before it. An import is work of its server, then of
PostgreSQL, and a wait. In truth it changes often between these. How often does not matter for the times on average:
at stations that share their cores evenly, only the amount of work counts.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.sizing.feeds import Feed
from benchmarks.sizing.inputs import Assumptions, Cost, Costs
from benchmarks.sizing.stations import Station
from benchmarks.sizing.values import Day, Ended, Event, Failover, Fleet, Kill, Minute, Upgrade

MINUTE_S = 60.0
LOOK_S = 0.5
"""How often a server looks for imports that other servers received."""


@dataclass(slots=True, eq=False)
class Node:
    """A server. Without `takes`, it takes no session and no import."""

    station: Station[Job]
    free: int
    takes: bool = True
    jobs: set[Job] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Job:
    """A list on its way. `order` is that of the landings; `start` counts the starts of its import."""

    feed: Feed
    node: Node
    then: Callable[[Job], None]
    order: int = 0
    landed_s: float = -1.0
    started_s: float = -1.0
    start: int = 0

    def __lt__(self, other: Job) -> bool:
        return self.order < other.order


class Simulation:
    """One run. `run` it once."""

    def __init__(
        self,
        costs: Costs,
        assumed: Assumptions,
        fleet: Fleet,
        feeds: Sequence[Feed],
        disturbed: Sequence[Event] = (),
    ) -> None:
        self._costs = costs
        self._assumed = assumed
        self._fleet = fleet
        self._feeds = feeds
        self._disturbed = disturbed
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], Any]] = []
        self._number = 0
        self._postgres: Station[Job] = Station(0.0)
        self._nodes = [Node(Station(0.0), fleet.at_once) for _ in range(fleet.nodes)]
        self._next_node = 0
        self._queue: list[Job] = []
        self._running: dict[int, deque[Job]] = {}
        """The tenants whose import runs, with their later ones that were passed over."""
        self._passed = 0
        self._idle_cores = 0.0
        """Cores of all servers that work on other than lists; the same for PostgreSQL."""
        self._postgres_idle_cores = 0.0
        self._away = False
        """PostgreSQL does nothing now."""
        self._before = (0.0, 0.0)
        self.day = Day()

    def run(self, from_s: float, until_s: float) -> Day:
        """Return what happened until all lists have been imported, at the latest until `until_s`."""
        self._now = from_s
        for station in (self._postgres, *(node.station for node in self._nodes)):
            station.advance(from_s)
            station.worked_s = 0.0
        self._share_out()
        for feed in self._feeds:
            self._at(feed.at_s, self._send, feed)
        for each in self._disturbed:
            self._at(each.at_s, self._disturb, each)
        self._at(from_s + MINUTE_S, self._count, None)
        while self._events and self._events[0][0] <= until_s and len(self.day.ended) < len(self._feeds):
            self._now, _, act, value = heapq.heappop(self._events)
            act(value)
        self.day.left = self.day.landed - len(self.day.ended)
        self.day.nodes_s = sum(node.station.worked_s for node in self._nodes)
        self.day.postgres_s = self._postgres.worked_s
        return self.day

    def _at(self, at_s: float, act: Callable[[Any], None], value: object) -> None:
        self._number += 1
        heapq.heappush(self._events, (at_s, self._number, act, value))

    # Work at stations

    def _work(self, station: Station[Job], work_s: float, job: Job, then: Callable[[Job], None]) -> None:
        job.then = then
        station.add(self._now, work_s * self._assumed.slower, job)
        self._watch(station)

    def _watch(self, station: Station[Job]) -> None:
        if len(station) and (at_s := station.next_end()) < float("inf"):
            self._at(at_s, self._worked, (station, station.change))

    def _worked(self, value: tuple[Station[Job], int]) -> None:
        station, change = value
        if change == station.change:
            job = station.end_next(self._now)
            self._watch(station)
            job.then(job)

    # From a client to its OK

    def _send(self, feed: Feed) -> None:
        self.day.sent += 1
        self._connect(feed)

    def _connect(self, feed: Feed) -> None:
        node = self._any_node()
        if node is None:
            self._at(self._now + self._assumed.retry_s, self._connect, feed)
            return
        job = Job(feed, node, self._store)
        node.jobs.add(job)
        self._at(self._now + self._assumed.session_s, self._receive, job)

    def _receive(self, job: Job) -> None:
        if job in job.node.jobs:
            self._work(job.node.station, self._costs.of_upload(job.feed.rows).node_s, job, self._store)

    def _any_node(self) -> Node | None:
        """Return the next server that takes sessions, in turns."""
        for _ in self._nodes:
            self._next_node = (self._next_node + 1) % len(self._nodes)
            if self._nodes[self._next_node].takes:
                return self._nodes[self._next_node]
        return None

    def _store(self, job: Job) -> None:
        cost = self._costs.of_upload(job.feed.rows)
        self.day.wal_bytes += cost.wal_bytes
        self._work(self._postgres, cost.postgres_s, job, self._land)

    def _land(self, job: Job) -> None:
        job.node.jobs.discard(job)
        self.day.landed += 1
        job.landed_s, job.order = self._now, self.day.landed
        self._queue_up(job)

    def _queue_up(self, job: Job) -> None:
        heapq.heappush(self._queue, job)
        if job.node.takes and job.node.free:
            self._take(job.node, 0.0)
        elif looking := [node for node in self._nodes if node.takes and node.free]:
            self._take(looking[job.order % len(looking)], LOOK_S / (len(looking) + 1))
        self.day.most_waiting = max(self.day.most_waiting, len(self._queue) + self._passed)

    # From the OK to the end

    def _take(self, node: Node, after_s: float) -> None:
        """Let a server start the oldest imports whose tenants have none that runs."""
        while self._queue and node.takes and node.free:
            job = heapq.heappop(self._queue)
            if (others := self._running.get(job.feed.tenant)) is not None:
                others.append(job)
                self._passed += 1
                continue
            self._running[job.feed.tenant] = deque()
            node.free -= 1
            node.jobs.add(job)
            job.node, job.start = node, job.start + 1
            self._at(self._now + after_s, self._begin, (job, job.start))

    def _begin(self, value: tuple[Job, int]) -> None:
        job, start = value
        if job.start != start or job not in job.node.jobs:
            return
        job.started_s = self._now
        self._work(job.node.station, self._cost_of(job).node_s, job, self._write)

    def _write(self, job: Job) -> None:
        cost = self._cost_of(job)
        self.day.wal_bytes += cost.wal_bytes
        self._work(self._postgres, cost.postgres_s, job, self._wait)

    def _wait(self, job: Job) -> None:
        self._at(self._now + self._cost_of(job).waits_s, self._end, (job, job.start))

    def _end(self, value: tuple[Job, int]) -> None:
        job, start = value
        if job.start != start or job not in job.node.jobs:
            return
        self.day.ended.append(Ended(job.feed.tenant, job.landed_s, job.started_s, self._now))
        self._leave(job)
        self._take(job.node, 0.0)

    def _leave(self, job: Job) -> None:
        """Let the import of a tenant run no longer; those passed over are in the queue again."""
        job.node.jobs.discard(job)
        job.node.free += 1
        for other in self._running.pop(job.feed.tenant):
            heapq.heappush(self._queue, other)
            self._passed -= 1

    def _cost_of(self, job: Job) -> Cost:
        return self._costs.of_import(job.feed.kind, job.feed.rows)

    # Servers that end

    def _disturb(self, event: Event) -> None:
        match event:
            case Kill():
                self._kill(event)
            case Upgrade():
                self._upgrade(event)
            case Failover():
                self._fail_over(event)

    def _kill(self, kill: Kill) -> None:
        for node in [node for node in self._nodes if node.takes][: kill.nodes]:
            self._stop(node, self._assumed.found_s)
            self._at(self._now + self._assumed.start_s, self._started, node)

    def _upgrade(self, upgrade: Upgrade) -> None:
        step_s = self._assumed.drain_s + self._assumed.start_s
        for number, node in enumerate(self._nodes):
            self._at(self._now + number // upgrade.together * step_s, self._drain, node)

    def _drain(self, node: Node) -> None:
        node.takes = False
        self._share_out()
        self._at(self._now + self._assumed.drain_s, lambda _: self._stop(node, 0.0), None)
        self._at(self._now + self._assumed.drain_s + self._assumed.start_s, self._started, node)

    def _fail_over(self, failover: Failover) -> None:
        """Let PostgreSQL do nothing for a while. Sessions wait for it; imports are rolled back, and start again."""
        self._away = True
        self._share_out()
        for node in self._nodes:
            self._end_jobs(node, {job for job in node.jobs if job.order}, failover.for_s)
        self._at(self._now + failover.for_s, self._answer_again, None)

    def _answer_again(self, _: None) -> None:
        self._away = False
        self._share_out()

    def _stop(self, node: Node, found_s: float) -> None:
        """End a server now. Clients come again after a while; others take up its imports after `found_s`."""
        node.takes = False
        self._end_jobs(node, set(node.jobs), found_s)
        self._share_out()

    def _end_jobs(self, node: Node, gone: set[Job], found_s: float) -> None:
        node.jobs -= gone
        for station in (node.station, self._postgres):
            station.drop(self._now, gone.__contains__)
            self._watch(station)
        for job in sorted(gone, key=lambda job: (job.order, job.feed.at_s, job.feed.tenant)):
            if job.order:
                self.day.restarted += 1
                self._at(self._now + found_s, self._take_up, job)
            else:
                self.day.interrupted += 1
                self._at(self._now + self._assumed.retry_s, self._connect, job.feed)

    def _take_up(self, job: Job) -> None:
        self._leave(job)
        self._queue_up(job)

    def _started(self, node: Node) -> None:
        node.takes = True
        self._share_out()
        self._take(node, 0.0)

    # Work beside lists

    def _share_out(self) -> None:
        """Give stations the cores that are left beside sessions without a list, and the looks of idle servers."""
        costs, assumed, fleet = self._costs, self._assumed, self._fleet
        sessions = costs.login * (assumed.logins_per_minute / MINUTE_S * assumed.slower)
        one = (costs.idle_node + costs.idle_tenants * (assumed.tenants / 1000)) * assumed.slower
        living = [node for node in self._nodes if node.takes]
        share = sessions.node_s / len(living) if living else 0.0
        for node in self._nodes:
            node.station.give(self._now, max(0.0, fleet.node_cores - one.node_s - (share if node.takes else 0.0)))
            self._watch(node.station)
        self._idle_cores = min(sessions.node_s + one.node_s * len(living), fleet.node_cores * len(living))
        self._postgres_idle_cores = sessions.postgres_s + one.postgres_s * len(living)
        left = 0.0 if self._away else fleet.postgres_cores - self._postgres_idle_cores
        self._postgres.give(self._now, max(0.0, left))
        self._watch(self._postgres)

    def _count(self, _: None) -> None:
        for station in (self._postgres, *(node.station for node in self._nodes)):
            station.advance(self._now)
        worked = sum(node.station.worked_s for node in self._nodes), self._postgres.worked_s
        nodes, postgres = ((now - before) / MINUTE_S for now, before in zip(worked, self._before, strict=True))
        self._before = worked
        idle = self._idle_cores, self._postgres_idle_cores
        waiting = len(self._queue) + self._passed
        self.day.minutes.append(Minute(self._now, nodes + idle[0], postgres + idle[1], waiting))
        self._at(self._now + MINUTE_S, self._count, None)
