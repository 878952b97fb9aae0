"""The lists that tenants send within a day. Pure; the same seed gives the same day."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from random import Random

from benchmarks.sizing.inputs import HOURS, Assumptions

HOUR_S = 3600.0
DAY_S = HOURS * HOUR_S


@dataclass(frozen=True, slots=True)
class Feed:
    """A list that a tenant begins to send at this moment of the day."""

    at_s: float
    tenant: int
    rows: int
    kind: str
    """One of `inputs.KINDS`."""


def feeds_of_day(assumed: Assumptions, seed: int) -> list[Feed]:
    """Return the lists of a day, in the order in which they are sent."""
    dice = Random(seed)
    sigma = sqrt(2 * log(assumed.rows_mean / assumed.rows_median))
    found = []
    for tenant in range(assumed.tenants):
        rows = min(max(1, round(dice.lognormvariate(log(assumed.rows_median), sigma))), assumed.rows_most)
        found += [Feed(at_s % DAY_S, tenant, rows, _kind(assumed, dice)) for at_s in _moments(assumed, dice)]
    return sorted(found, key=lambda each: (each.at_s, each.tenant))


def _moments(assumed: Assumptions, dice: Random) -> list[float]:
    """Return when a tenant sends, in seconds of the day. It may be late into the next day."""
    if dice.random() < assumed.hourly:
        return [hour * HOUR_S + _late(assumed, dice) for hour in range(HOURS)]
    luck = dice.random()
    if luck < assumed.at_peak:
        return [assumed.peak_hour * HOUR_S + _late(assumed, dice)]
    if luck < assumed.at_peak + assumed.at_hours:
        others = [hour for hour in range(HOURS) if hour != assumed.peak_hour]
        return [dice.choice(others) * HOUR_S + _late(assumed, dice)]
    return [dice.random() * DAY_S]


def _late(assumed: Assumptions, dice: Random) -> float:
    return dice.expovariate(1 / assumed.late_s) if assumed.late_s else 0.0


def _kind(assumed: Assumptions, dice: Random) -> str:
    luck = dice.random()
    if luck < assumed.first:
        return "first"
    return "unchanged" if luck < assumed.first + assumed.unchanged else "changed"
