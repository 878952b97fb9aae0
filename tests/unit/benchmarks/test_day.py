"""The simulated day agrees with the theory of queues where that has an answer, and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import mean

import pytest

from benchmarks.sizing.day import LOOK_S, Simulation
from benchmarks.sizing.feeds import Feed, feeds_of_day
from benchmarks.sizing.inputs import Assumptions, Cost, Costs
from benchmarks.sizing.values import Day, Event, Failover, Fleet, Kill, Upgrade, percentile

QUIET = Assumptions(tenants=0, logins_per_minute=0, session_s=0)
ONLY_IMPORTS = Costs(first_1000=Cost(node_s=1.0))
BUSY = Costs(
    login=Cost(0.01, 0.002),
    upload_mib=Cost(0.02, 0.01),
    changed=Cost(0.05, 0.02, 0.05, 10_000),
    changed_1000=Cost(0.02, 0.01, 0, 1000),
    unchanged=Cost(0.04, 0.01, 0.05),
    first=Cost(0.1, 0.1),
    first_1000=Cost(0.05, 0.1),
)
SOME = Assumptions(tenants=1500, logins_per_minute=60, late_s=60)
LATEST = 1e9


def poisson(count: int, rate: float, seed: int = 1, rows: Sequence[int] = (1000,)) -> list[Feed]:
    """Return first lists of so many tenants that come at this rate a second."""
    dice, at_s, found = Random(seed), 0.0, []
    for tenant in range(count):
        at_s += dice.expovariate(rate)
        found.append(Feed(at_s, tenant, dice.choice(rows), "first"))
    return found


def ran(
    costs: Costs,
    fleet: Fleet,
    feeds: list[Feed],
    disturbed: Sequence[Event] = (),
    assumed: Assumptions = QUIET,
    until_s: float = LATEST,
) -> Day:
    return Simulation(costs, assumed, fleet, feeds, disturbed).run(0.0, until_s)


def work(costs: Costs, feeds: list[Feed]) -> Cost:
    return sum((costs.of_upload(each.rows) + costs.of_import(each.kind, each.rows) for each in feeds), Cost())


def test_one_import_at_a_time_waits_as_an_m_d_1_queue() -> None:
    busy = 0.7
    day = ran(ONLY_IMPORTS, Fleet(1, 1.0, 1.0, at_once=1), poisson(20_000, busy))
    assert mean(each.waited_s for each in day.ended) == pytest.approx(busy / (2 * (1 - busy)), rel=0.05)


@pytest.mark.parametrize("rows", [(1000,), (100, 100, 100, 3700)])
def test_imports_that_share_a_core_take_as_long_as_the_theory_says(rows: tuple[int, ...]) -> None:
    """M/G/1 with sharing: the mean depends on the mean size alone."""
    busy = 0.6
    day = ran(ONLY_IMPORTS, Fleet(1, 1.0, 1.0, at_once=10**6), poisson(20_000, busy, rows=rows))
    assert mean(each.took_s for each in day.ended) == pytest.approx(1 / (1 - busy), rel=0.06)


def test_imports_on_average_in_the_system_are_rate_times_time() -> None:
    """Little's law, with the number of imports counted by the moments at which they come and go."""
    day = ran(ONLY_IMPORTS, Fleet(2, 1.0, 1.0), poisson(5000, 1.2))
    moments = sorted([(each.landed_s, 1) for each in day.ended] + [(each.ended_s, -1) for each in day.ended])
    area = before = 0.0
    count = 0
    for at_s, step in moments:
        area, before, count = area + count * (at_s - before), at_s, count + step
    assert area == pytest.approx(sum(each.took_s for each in day.ended))


def test_all_work_of_the_lists_is_done_once() -> None:
    feeds = feeds_of_day(SOME, 1)
    day = ran(BUSY, Fleet(3, 1.0, 2.0), feeds, assumed=SOME)
    asked = work(BUSY, feeds)
    assert day.sent == day.landed == len(day.ended) == len(feeds)
    assert day.left == day.interrupted == day.restarted == 0
    assert (day.nodes_s, day.postgres_s) == (pytest.approx(asked.node_s), pytest.approx(asked.postgres_s))
    assert day.wal_bytes == pytest.approx(asked.wal_bytes)


def test_without_a_server_no_list_lands() -> None:
    day = ran(BUSY, Fleet(0, 1.0, 1.0), poisson(20, 1.0), until_s=5000)
    assert (day.sent, day.landed, len(day.ended)) == (20, 0, 0)


def test_servers_that_sessions_without_lists_use_up_end_no_import() -> None:
    assumed = Assumptions(tenants=0, logins_per_minute=60 * 200)
    day = ran(BUSY, Fleet(2, 1.0, 1.0), poisson(20, 1.0), assumed=assumed, until_s=5000)
    assert day.landed == 0
    assert day.minutes[-1].nodes_busy == pytest.approx(2.0)


def test_the_same_input_gives_the_same_day() -> None:
    one, other = (
        ran(BUSY, Fleet(2, 1.0, 1.0), feeds_of_day(SOME, 7), [Kill(7300, 1), Upgrade(7200)], SOME) for _ in range(2)
    )
    assert one == other
    assert one != ran(BUSY, Fleet(2, 1.0, 1.0), feeds_of_day(SOME, 8), [Kill(7300, 1), Upgrade(7200)], SOME)


def test_imports_of_one_tenant_run_in_order_one_at_a_time() -> None:
    feeds = [Feed(each.at_s, 1, each.rows, each.kind) for each in poisson(300, 2.0)]
    day = ran(ONLY_IMPORTS, Fleet(4, 1.0, 4.0), feeds)
    assert [each.landed_s for each in day.ended] == sorted(each.landed_s for each in day.ended)
    assert all(after.started_s >= before.ended_s for before, after in zip(day.ended, day.ended[1:], strict=False))


def test_an_import_on_a_busy_server_is_started_by_another_at_its_next_look() -> None:
    feeds = [Feed(0.0, number, 60_000, "first") for number in range(4)] + [Feed(1.0, 5, 1000, "first")]
    fleet = Fleet(3, 1.0, 1.0)
    last = next(each for each in ran(ONLY_IMPORTS, fleet, feeds).ended if each.landed_s == 1.0)
    assert 0 <= last.waited_s <= LOOK_S


@pytest.mark.parametrize("disturbed", [Kill(3620.0, 1), Kill(3620.0, 3), Upgrade(3600.0), Failover(3620.0, 10.0)])
def test_no_list_is_lost_by_servers_that_end(disturbed: Event) -> None:
    feeds = [Feed(3600 + each.at_s, each.tenant, each.rows, "first") for each in poisson(2000, 20.0)]
    day = ran(BUSY, Fleet(3, 1.0, 4.0), feeds, [disturbed], replace(QUIET, session_s=0.5))
    assert day.sent == day.landed == len(day.ended) == len(feeds)
    assert {each.tenant for each in day.ended} == {each.tenant for each in feeds}
    if isinstance(disturbed, Kill):
        assert day.restarted > 0
        assert day.interrupted > 0
    if isinstance(disturbed, Failover):
        assert not [each for each in day.ended if 3620.0 < each.ended_s < 3630.0]


def test_a_restarted_import_does_its_work_again() -> None:
    feeds = [Feed(0.0, 1, 10_000, "first")]
    day = ran(ONLY_IMPORTS, Fleet(2, 1.0, 1.0), feeds, [Kill(5.0, 2)])
    assert day.restarted == 1
    assert day.ended[0].started_s == 5.0 + QUIET.start_s
    assert day.nodes_s == pytest.approx(15.0)


def test_more_servers_make_no_import_wait_longer() -> None:
    feeds = feeds_of_day(SOME, 1)
    waits = [
        percentile([each.waited_s for each in ran(BUSY, Fleet(count, 1.0, 4.0), feeds, assumed=SOME).ended], 0.99)
        for count in (1, 2, 4)
    ]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > 10 * waits[-1]


@pytest.mark.parametrize(("share", "found"), [(0.5, 5), (0.99, 10), (1.0, 10), (0.1, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, found: int) -> None:
    assert percentile(list(range(10, 0, -1)), share) == found


def test_an_interrupted_list_is_sent_again_after_a_while() -> None:
    feeds = [Feed(0.0, 1, 1000, "first")]
    day = ran(ONLY_IMPORTS, Fleet(2, 1.0, 1.0), feeds, [Kill(5.0, 2)], replace(QUIET, session_s=10.0))
    assert (day.sent, day.interrupted, len(day.ended)) == (1, 1, 1)
    assert day.ended[0].landed_s == 5.0 + QUIET.retry_s + 10.0
