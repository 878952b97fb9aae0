"""Jobs share the cores of a station evenly, and each uses at most one."""

from __future__ import annotations

from math import inf

import pytest

from benchmarks.sizing.stations import Station


def ends(station: Station[str]) -> list[tuple[float, str]]:
    found = []
    while (at_s := station.next_end()) < inf:
        found.append((at_s, station.end_next(at_s)))
    return found


def test_two_jobs_on_one_core_take_twice_as_long() -> None:
    station: Station[str] = Station(1.0)
    station.add(0.0, 1.0, "a")
    station.add(0.0, 1.0, "b")
    assert ends(station) == [(2.0, "a"), (2.0, "b")]
    assert station.worked_s == 2.0


def test_a_job_uses_at_most_one_core() -> None:
    station: Station[str] = Station(8.0)
    station.add(0.0, 3.0, "a")
    assert ends(station) == [(3.0, "a")]


def test_a_later_job_slows_the_first_one_from_its_moment_on() -> None:
    station: Station[str] = Station(1.0)
    station.add(0.0, 2.0, "a")
    station.add(1.0, 0.25, "b")
    assert ends(station) == [(1.5, "b"), (2.25, "a")]


def test_a_station_without_cores_ends_no_job() -> None:
    station: Station[str] = Station(0.0)
    station.add(0.0, 0.1, "a")
    assert station.next_end() == inf
    station.give(10.0, 1.0)
    assert ends(station) == [(pytest.approx(10.1), "a")]


def test_a_dropped_job_leaves_its_share_to_the_others() -> None:
    station: Station[str] = Station(1.0)
    for name in ("a", "b"):
        station.add(0.0, 1.0, name)
    station.drop(1.0, lambda job: job == "a")
    assert ends(station) == [(1.5, "b")]
    assert station.worked_s == 1.5
