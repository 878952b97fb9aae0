"""How many servers, and which PostgreSQL: the least with which imports wait no longer than they may. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.sizing.day import Simulation
from benchmarks.sizing.feeds import DAY_S, HOUR_S, Feed
from benchmarks.sizing.inputs import Assumptions, Costs
from benchmarks.sizing.values import Day, Event, Fleet, percentile

SHARE, WAIT_S = 0.99, 60.0
"""So many imports of the busiest hour may not wait longer."""
BEFORE_S = 600.0
"""A search begins so long before the busiest hour."""
PATIENCE_S = HOUR_S
"""A day is looked at so long after its last list."""
MOST_NODES = 4096
ROOMY = 100_000.0
"""Cores of a PostgreSQL that nothing waits for."""


@dataclass(frozen=True, slots=True)
class Model:
    """The inputs of all runs."""

    costs: Costs
    assumed: Assumptions
    feeds: Sequence[Feed]

    def fleet(self, nodes: int, postgres_cores: float) -> Fleet:
        return Fleet(nodes, self.assumed.node_cores, postgres_cores)

    def day(self, fleet: Fleet, disturbed: Sequence[Event] = ()) -> Day:
        """Return a whole day."""
        return Simulation(self.costs, self.assumed, fleet, self.feeds, disturbed).run(0.0, DAY_S + PATIENCE_S)

    def busiest(self, fleet: Fleet, disturbed: Sequence[Event] = ()) -> Day:
        """Return the hour of the peak, and some minutes before it."""
        begin_s = self.assumed.peak_hour * HOUR_S
        from_s = max(0.0, begin_s - BEFORE_S)
        those = [each for each in self.feeds if from_s <= each.at_s < begin_s + HOUR_S]
        run = Simulation(self.costs, self.assumed, fleet, those, disturbed)
        return run.run(from_s, begin_s + HOUR_S + PATIENCE_S)

    def waits(self, day: Day) -> list[float]:
        """Return the waits of the imports of the busiest hour."""
        begin_s = self.assumed.peak_hour * HOUR_S
        return [each.waited_s for each in day.ended if begin_s <= each.landed_s < begin_s + HOUR_S]

    def holds(self, day: Day) -> bool:
        """Return whether imports of this busiest hour waited no longer than they may."""
        return day.landed == len(day.ended) == day.sent and percentile(self.waits(day), SHARE) < WAIT_S


@dataclass(frozen=True, slots=True)
class Needed:
    """The least that is enough. `nodes_alone` would be enough with a PostgreSQL without limits."""

    nodes_alone: int
    nodes: int
    postgres_cores: int


def needed(model: Model) -> Needed | None:
    """Return what is enough; None if no number of servers is.

    First the servers, beside a PostgreSQL that nothing waits for. Then a tenth more of them, and the PostgreSQL that
    is enough for these and has cores to spare in the busiest minute.
    """
    alone = least(lambda nodes: model.holds(model.busiest(model.fleet(nodes, ROOMY))), MOST_NODES)
    if alone is None:
        return None
    nodes = -(-alone * 11 // 10)

    def is_enough(cores: int) -> bool:
        day = model.busiest(model.fleet(nodes, cores))
        return model.holds(day) and busiest_minute(day) <= cores * model.assumed.postgres_most

    cores = least(is_enough, MOST_NODES)
    return Needed(alone, nodes, cores) if cores else None


def busiest_minute(day: Day) -> float:
    """Return the cores of PostgreSQL that worked in the busiest minute."""
    return max((minute.postgres_busy for minute in day.minutes), default=0.0)


def least(is_enough: Callable[[int], bool], most: int) -> int | None:
    """Return the least number from 1 to `most` that is enough. If one is, every larger one has to be."""
    high = 1
    while not is_enough(high):
        if high >= most:
            return None
        high = min(high * 2, most)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high
