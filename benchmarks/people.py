"""A realistic user list of a company, of any size; the same seed gives the same list.

It has 14 columns and about 150 bytes a row. Most rows are plain; about one in 20 has a quoted cell, and one in 10 a
name outside ASCII. All users except the first have a manager further up, with 8 reports each.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from pathlib import Path

HEADER = (
    "first_name,last_name,email,job_title,manager,coach,primary_team,secondary_team,"
    "role,language,location,time_zone,hire_date,deactivate\n"
)
FIRST = (
    "Olivia", "Noah", "Amelia", "Liam", "Isla", "Ethan", "Ava", "Lucas", "Mia", "Jonas", "Emma", "Felix", "Hanna",
    "Mateo", "Lucía", "Zoë", "José", "Søren", "Anaïs",
)  # fmt: skip
LAST = (
    "Smith", "Jones", "Taylor", "Brown", "Schmidt", "Fischer", "Weber", "Rossi", "Bianchi", "García", "Martínez",
    "Nowak", "Kowalska", "Dubois", "Moreau",
)  # fmt: skip
PLAIN_FIRST, PLAIN_LAST = 14, 9  # only so many of them are used in addresses
TITLES = ("Software Engineer", "Account Executive", "Nurse", "Warehouse Associate", "Team Lead", "Analyst", "Driver")
PLACES = (
    ("London", "Europe/London", "en"),
    ("New York", "America/New_York", "en-US"),
    ("Berlin", "Europe/Berlin", "de"),
    ("Paris", "Europe/Paris", "fr"),
    ("Warsaw", "Europe/Warsaw", "pl"),
    ("Tokyo", "Asia/Tokyo", "ja"),
)
ROLES = ("learner",) * 18 + ("reporter", "curator")
FIRST_DAY = datetime.date(2009, 1, 5)
REPORTS_EACH = 8


def write_people(path: Path, rows: int, *, changed: float = 0.0, seed: int = 1) -> Path:
    """Write a list of `rows` users; the fraction `changed` of them (0 to 1) has another job title than with 0."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        file.writelines(_lines(rows, changed, seed))
    return path


def address(number: int) -> str:
    """Return the address of user `number`. It follows from the number, so a manager's address needs no lookup."""
    first, last = FIRST[number % PLAIN_FIRST], LAST[number // PLAIN_FIRST % PLAIN_LAST]
    return f"{first}.{last}{number}@acme.example".lower()


def _lines(rows: int, changed: float, seed: int) -> Iterator[str]:
    who = random.Random(seed)
    promoted = random.Random(seed + 1)
    days = [str(FIRST_DAY + datetime.timedelta(days=day)) for day in range(5000)]
    teams = [f"Team {number}" for number in range(400)]
    for number in range(rows):
        first = FIRST[number % PLAIN_FIRST] if who.random() > 0.1 else who.choice(FIRST[PLAIN_FIRST:])
        last = LAST[number // PLAIN_FIRST % PLAIN_LAST] if who.random() > 0.05 else who.choice(LAST[PLAIN_LAST:])
        title = who.choice(TITLES)
        if promoted.random() < changed:
            title = f"Senior {title}"
        manager = address(number // REPORTS_EACH) if number else ""
        coach = address(who.randrange(rows)) if who.random() < 0.1 else ""
        team, luck = who.choice(teams), who.random()
        others = f'"{who.choice(teams)}, {team}"' if luck < 0.05 else who.choice(teams) if luck < 0.3 else ""
        location, zone, language = who.choice(PLACES)
        yield (
            f"{first},{last},{address(number)},{title},{manager},{coach},{team},{others},"
            f"{who.choice(ROLES)},{language},{location},{zone},{who.choice(days)},\n"
        )
