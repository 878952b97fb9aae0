"""The lists of a day, the inputs of the model with their sources, and the search for what is enough."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from statistics import mean, median

import pytest

from benchmarks.fleet import assuming
from benchmarks.sizing.answers import SHARE, WAIT_S, Model, least, needed
from benchmarks.sizing.feeds import DAY_S, feeds_of_day
from benchmarks.sizing.inputs import (
    ASSUMED,
    MEASURED,
    OF_ASSUMPTIONS,
    OF_COSTS,
    Assumptions,
    Cost,
    Costs,
    costs_from,
    listed,
)
from benchmarks.sizing.measuring import BIG, SMALL, line
from benchmarks.sizing.values import percentile

MANY = Assumptions(tenants=8_000)
COSTS = Costs(login=Cost(0.01, 0.002), changed=Cost(0.1, 0.05), unchanged=Cost(0.1, 0.05), first=Cost(0.1, 0.05))


def test_the_same_seed_gives_the_same_lists() -> None:
    assert feeds_of_day(MANY, 1) == feeds_of_day(MANY, 1) != feeds_of_day(MANY, 2)


def test_each_tenant_sends_once_a_day_or_every_hour() -> None:
    counts: dict[int, int] = {}
    for each in feeds_of_day(MANY, 1):
        counts[each.tenant] = counts.get(each.tenant, 0) + 1
    assert set(counts.values()) == {1, 24}
    assert len(counts) == MANY.tenants
    assert list(counts.values()).count(24) / MANY.tenants == pytest.approx(MANY.hourly, rel=0.1)


def test_lists_come_in_order_within_the_day_and_most_of_all_at_the_peak() -> None:
    feeds = feeds_of_day(MANY, 1)
    assert [each.at_s for each in feeds] == sorted(each.at_s for each in feeds)
    assert feeds[-1].at_s < DAY_S
    hours = [0] * 24
    for each in feeds:
        hours[int(each.at_s // 3600)] += 1
    assert hours.index(max(hours)) == MANY.peak_hour
    once_a_day = MANY.tenants * (1 - MANY.hourly)
    assert max(hours) == pytest.approx(once_a_day * MANY.at_peak + MANY.tenants * MANY.hourly, rel=0.1)


def test_lists_have_the_assumed_sizes_and_changes() -> None:
    feeds = feeds_of_day(replace(MANY, hourly=0.0), 1)
    rows = [each.rows for each in feeds]
    assert median(rows) == pytest.approx(MANY.rows_median, rel=0.05)
    assert mean(rows) == pytest.approx(MANY.rows_mean, rel=0.1)
    assert max(rows) <= MANY.rows_most
    assert sum(each.kind == "unchanged" for each in feeds) / len(feeds) == pytest.approx(MANY.unchanged, rel=0.05)


def test_each_input_is_shown_once_with_its_source() -> None:
    shown = list(listed(COSTS, MANY))
    assert [each.name for each in shown if each.source == MEASURED] == [each.name for each in fields(Costs)]
    assert [each.name for each in shown if each.source == ASSUMED] == [each.name for each in fields(Assumptions)]
    assert OF_COSTS.keys() | OF_ASSUMPTIONS.keys() == {each.name for each in shown}
    assert all(each.what for each in shown)


def test_costs_are_read_as_they_were_stored() -> None:
    assert costs_from(asdict(COSTS)) == COSTS
    with pytest.raises(KeyError):
        costs_from({name: value for name, value in asdict(COSTS).items() if name != "login"})


@pytest.mark.parametrize("enough", [1, 2, 3, 64, 65, 100])
def test_the_search_finds_the_least_number(enough: int) -> None:
    assert least(lambda number: number >= enough, 100) == enough


def test_the_search_finds_nothing_if_the_largest_number_is_not_enough() -> None:
    assert least(lambda number: number > 100, 100) is None


def test_one_server_less_than_needed_is_not_enough() -> None:
    model = Model(COSTS, MANY, feeds_of_day(MANY, 1))
    found = needed(model)
    assert found
    enough, short = (
        percentile(model.waits(model.busiest(model.fleet(nodes, 1000.0))), SHARE)
        for nodes in (found.nodes_alone, found.nodes_alone - 1)
    )
    assert enough < WAIT_S <= short
    assert found.nodes_alone < found.nodes
    assert found.postgres_cores >= 1


def test_a_server_that_is_twice_as_slow_needs_about_twice_as_many() -> None:
    feeds = feeds_of_day(MANY, 1)
    one, other = (needed(Model(COSTS, replace(MANY, slower=slower), feeds)) for slower in (1.0, 2.0))
    assert one
    assert other
    assert other.nodes_alone == pytest.approx(2 * one.nodes_alone, rel=0.3)


def test_costs_of_two_lists_give_those_of_every_list() -> None:
    costs = Costs(first=Cost(0.05, 0.02, 0.01, 1000), first_1000=Cost(0.01, 0.04, 0, 5000))
    fixed, more = line(*(costs.of_import("first", rows) for rows in (SMALL, BIG)))
    assert asdict(fixed) == pytest.approx(asdict(costs.first), rel=0.01)
    assert asdict(more) == pytest.approx(asdict(costs.first_1000), rel=0.01)


def test_a_difference_below_the_noise_costs_nothing() -> None:
    fixed, more = line(Cost(node_s=0.2), Cost(node_s=0.1))
    assert more.node_s == 0
    assert fixed.node_s == 0.2


def test_an_unknown_assumption_is_refused() -> None:
    assert assuming(["late_s=300", "tenants=10"]) == Assumptions(late_s=300.0, tenants=10)
    with pytest.raises(ValueError, match="unknown assumption “late”"):
        assuming(["late=300"])
