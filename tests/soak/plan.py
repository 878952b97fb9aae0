"""The plan of each day of the simulation: a function of the seed and the number of the day. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta

from tests.soak.company import COMPANIES, Company
from tests.soak.sheets import SPOILERS

FEEDS = {
    "good": 46,
    "the same": 6,
    "silent": 5,
    "two files": 3,
    "lost": 5,
    "near name": 2,
    "dry run": 4,
    "undo": 4,
    "mass, discarded": 2,
    "mass, approved": 2,
    "mass, left": 2,
    "killed upload": 2,
    "killed close": 3,
    "killed import": 3,
    "killed undo": 1,
    **dict.fromkeys(SPOILERS, 2),
}
"""How often a company sends what, as weights."""

KILLS = ("killed upload", "killed close", "killed import", "killed undo")
CHECKSUM_FEEDS = ("no checksum", "a wrong checksum")
PAUSE_EVERY = 16
PAUSE_DAYS = 4
STEPS = tuple(timedelta(seconds=each) for each in (-604_800, -3600, -60, 60, 3600, 604_800))


@dataclass(frozen=True, slots=True)
class Errand:
    """The work of one company on a day; `dice` decides the details."""

    company: Company
    feed: str
    dice: random.Random
    step: timedelta = timedelta()
    """A step of the wall clock before the errand; afterwards the clock steps back."""
    pauses: bool = False
    """A pause of the feed begins."""


@dataclass(frozen=True, slots=True)
class Day:
    number: int
    errands: list[Errand]
    events: set[str] = field(default_factory=set)
    """Names in `EVERY`."""


EVERY = {
    "kill": 9,
    "stop": 15,
    "backup": 5,
    "drill": 24,
    "restore": 45,
    "full disk": 13,
    "no mail": 17,
    "new key": 10,
    "new token": 8,
    "doctor": 30,
}
"""Every how many days each event happens, more or less."""


def plan(seed: int, number: int) -> Day:
    """Return the day of this number; the first is 0, and then all companies send their first file."""
    dice = random.Random(f"{seed} {number}")
    events = {event for event, days in EVERY.items() if number and dice.random() * days < 1}
    stepping = dice.choice(COMPANIES) if number > 1 and dice.random() < 0.1 else None
    errands = []
    for company in dice.sample(COMPANIES, len(COMPANIES)):
        own = random.Random(f"{seed} {number} {company.name}")
        feed = _feed(company, seed, number, own) if number else "good"
        pauses = company.pauses and number % PAUSE_EVERY == 3
        step = own.choice(STEPS) if company is stepping and feed not in KILLS else timedelta()
        errands.append(Errand(company, feed, own, step, pauses))
    return Day(number, errands, events)


def is_paused(company: Company, number: int) -> bool:
    """Return whether files of that day wait for the end of a pause."""
    return company.pauses and 3 <= number % PAUSE_EVERY < 3 + PAUSE_DAYS


def _feed(company: Company, seed: int, number: int, dice: random.Random) -> str:
    week, day = divmod(number, 7)
    if company.stale_days and day < random.Random(f"{seed} {week} {company.name}").choice((0, 0, 3, 4, 6)):
        return "silent"
    if is_paused(company, number):
        return dice.choice(("good", "good", "silent"))
    feeds = {**FEEDS, **(dict.fromkeys(CHECKSUM_FEEDS, 5) if company.checksums else {})}
    return dice.choices([*feeds], [*feeds.values()])[0]
