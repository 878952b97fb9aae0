"""Cores that jobs share. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

J = TypeVar("J")


class Station(Generic[J]):
    """Cores that are shared evenly by jobs. A job uses at most one core. Times and work are in seconds.

    The clock of a station shows the work that each of its jobs has got: it is slower the more jobs there are. So the
    end of a job is a fixed moment of this clock, whatever comes later, and no job is touched between.
    """

    def __init__(self, cores: float) -> None:
        self.change = 0
        """Grows with each change of what `next_end` returns."""
        self.worked_s = 0.0
        """The work that was done until the newest change."""
        self._cores = cores
        self._clock = 0.0
        self._now = 0.0
        self._jobs: list[tuple[float, int, J]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def give(self, now: float, cores: float) -> None:
        """Let jobs share so many cores from now on."""
        self.advance(now)
        self._cores = cores
        self.change += 1

    def add(self, now: float, work_s: float, job: J) -> None:
        self.advance(now)
        self._number += 1
        heapq.heappush(self._jobs, (self._clock + work_s, self._number, job))
        self.change += 1

    def next_end(self) -> float:
        """Return when the next job ends if nothing changes; infinity if none does."""
        rate = self._rate()
        return self._now + max(self._jobs[0][0] - self._clock, 0.0) / rate if rate else inf

    def end_next(self, now: float) -> J:
        """Take out the job that ends now."""
        self.advance(now)
        ends, _, job = heapq.heappop(self._jobs)
        self._clock = max(self._clock, ends)  # the same moment, without the error of rounding
        self.change += 1
        return job

    def drop(self, now: float, is_unwanted: Callable[[J], bool]) -> None:
        """Take out jobs that have not ended."""
        self.advance(now)
        self._jobs = [each for each in self._jobs if not is_unwanted(each[2])]
        heapq.heapify(self._jobs)
        self.change += 1

    def advance(self, now: float) -> None:
        """Let time pass until now."""
        rate = self._rate()
        self._clock += rate * (now - self._now)
        self.worked_s += rate * len(self._jobs) * (now - self._now)
        self._now = now

    def _rate(self) -> float:
        return min(1.0, self._cores / len(self._jobs)) if self._jobs else 0.0
