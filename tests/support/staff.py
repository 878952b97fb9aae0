"""A company's list as its HR system has it: what happens to the users on it, and how it is written as a file.

Random choices come only from the given `random.Random`: the same seed makes the same list.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

COLUMNS = ("first_name", "last_name", "email", "number")
MORE: dict[str, Sequence[str]] = {
    "job_title": ("", "Baker", "Boss", "a\nb", 'the "boss"', "Züge", "x, y"),
    "manager": ("", "", "a1@x.org", "a2@x.org"),
    "coach": ("", "", "a3@x.org", "a4@x.org"),
    "primary_team": ("", "Ops", "Sales", "Care", "ops"),
    "secondary_team": ("", "Ops", "Sales,Ops", "Care"),
    "location": ("", "Bonn", "Köln"),
    "role": ("", "learner", "admin"),
    "deactivate": ("", "", "", "", "yes", "no"),
    "active": ("yes", "yes", "yes", "no"),
    "leave_date": (*[""] * 6, "2020-01-31", "2026-01-02", "2026-01-05", "2026-01-20", "2026-02-10", "2027-03-01"),
    "hire_date": ("", "2019-01-01", "2026-01-03"),
    "End Date": ("", "", "", "2020-01-31", "2026-01-04", "2026-01-08"),
    "Notes": ("n" * 90, "m" * 60, "é" * 40, ""),
    "desk": ("", "D1", "D2", "none"),
}
ODD: dict[str, Sequence[str]] = {
    "first_name": ("X", " X", "", "'X"),
    "email": ("a5@x.org", "a77@x.org", " a77@x.org", "A2@X.ORG", "", "nobody"),
    "number": ("5", "77", "", "1e5"),
    "last_name": ("Other", "", "=Öz"),
    "job_title": ("-", "#N/A"),
    "manager": ("gone@x.org", "a30@x.org", " a30@x.org ", "1", "2"),
    "coach": ("a50@x.org", "3", " 3"),
    "role": ("king",),
    "leave_date": ("soon",),
    "hire_date": ("01.02.2020",),
    "desk": ("NULL",),
}
"""Cells that get a message or name another user: a row with one has no digest."""
QUOTES = (csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)

Person = dict[str, str]


class Staff:
    """The users on the list, and the form in which the system writes them."""

    def __init__(self, dice: random.Random, *, many: bool = False) -> None:
        """`many` makes a long, tidy list, of which little changes from file to file."""
        self._dice = dice
        self._many = many
        self._columns: list[str] = []
        self._form: dict[str, Any] = {}
        self._choose_columns()
        self._choose_form()
        # Shares of the cells.
        self._plain, self._odd = dice.choice((0.3, 0.7, 0.9)), dice.choice((0, 0.002, 0.01, 0.1))
        if many:
            self._plain = dice.choice((0.9, 0.97))
        people = dice.randrange(120, 200) if many else dice.randrange(4, 60)
        self._people = [self._person(number) for number in range(1, people)]
        if many:
            self.tidy()

    def _choose_columns(self) -> None:
        self._columns = [name for name in MORE if self._dice.random() < (0.8 if self._many else 0.5)]

    def _choose_form(self) -> None:
        dice = self._dice
        self._form = {
            "bom": dice.random() < 0.2,
            "crlf": dice.random() < 0.3,
            "quoting": dice.choice(QUOTES),
            "utf16": dice.random() < 0.05,
            "mixed": dice.choice((0, 0, 0.1)),  # share of rows with another line end or other quotes
        }

    def _person(self, number: int) -> Person:
        person = {
            "first_name": f"F{number}",
            "last_name": self._dice.choice(("Smith", "Öz", "O'Neil")),
            "email": f"a{number}@x.org",
            "number": str(number),
            **{name: self._cell(values) for name, values in MORE.items()},
        }
        return person | {name: self._dice.choice(odd) for name, odd in ODD.items() if self._dice.random() < self._odd}

    def _cell(self, values: Sequence[str]) -> str:
        return values[0] if self._dice.random() < self._plain else self._dice.choice(values)

    # Edits of the list.

    def edit(self) -> str:
        """Let one thing happen to the list, and return its name."""
        edits: dict[Callable[[], None], int] = {
            self.change: 6,
            self.retype: 60 if self._many else 2,
            self.leave: 2,
            self.join: 2,
            self.halve: 1,
            self.double: 1,
            self.shuffle: 2,
            self.swap: 2,
            self.move: 1,
            self.turn: 1,
            self.repeat: 20 if self._many else 2,
            self.repeat_all: 1,
            self.tidy: 4,
            self._choose_form: 3,
            self._choose_columns: 1,
        }
        what = self._dice.choices(list(edits), list(edits.values()))[0]
        what()
        return what.__name__.strip("_")

    def change(self) -> None:
        for _ in range(self._dice.choice((1, 1, 3, 20))):
            if self._people:
                name = self._dice.choice([*self._columns, "last_name", "email", "number"])
                values = MORE.get(name) or ODD[name]
                if name in ODD and self._dice.random() < 0.1:
                    values = ODD[name]
                self._dice.choice(self._people)[name] = self._dice.choice(values)

    def retype(self) -> None:
        """Change one random cell in each of a few rows; odd texts are among the new values."""
        for person in self._dice.sample(self._people, min(len(self._people), self._dice.choice((1, 3, 8)))):
            name = self._dice.choice([*COLUMNS, *self._columns])
            texts = [*MORE.get(name, ()), *ODD.get(name, ())]
            person[name] = self._dice.choice(texts)

    def leave(self) -> None:
        for _ in range(self._dice.choice((1, 2, 10))):
            if len(self._people) > 1:
                self._people.pop(self._dice.randrange(len(self._people)))

    def join(self) -> None:
        for _ in range(self._dice.choice((1, 2, 10))):
            at = self._dice.randrange(len(self._people) + 1)
            self._people.insert(at, self._person(self._dice.randrange(1, 120)))

    def halve(self) -> None:
        self._people = [each for each in self._people if self._dice.random() < 0.5] or self._people[:1]

    def double(self) -> None:
        start = self._dice.randrange(1, 120)
        at = self._dice.randrange(len(self._people) + 1)
        self._people[at:at] = [self._person(start + number) for number in range(min(len(self._people), 60))]

    def shuffle(self) -> None:
        self._dice.shuffle(self._people)

    def swap(self) -> None:
        if len(self._people) > 3:
            start = self._dice.randrange(len(self._people) - 2)
            self._people[start : start + 3] = reversed(self._people[start : start + 3])

    def move(self) -> None:
        start, end = sorted(self._dice.choices(range(len(self._people) + 1), k=2))
        moved = self._people[start:end]
        del self._people[start:end]
        at = self._dice.randrange(len(self._people) + 1)
        self._people[at:at] = moved

    def turn(self) -> None:
        self._people.reverse()

    def repeat(self) -> None:
        if self._people:
            person = dict(self._dice.choice(self._people))
            if self._dice.random() < 0.5:
                person["job_title"] = "Twice"
            self._people.insert(self._dice.randrange(len(self._people) + 1), person)

    def repeat_all(self) -> None:
        if len(self._people) < 100:
            self._people += [dict(each) for each in self._people]

    def tidy(self) -> None:
        """Make each user occur once, without odd values."""
        tidied: dict[str, Person] = {}
        for person in self._people:
            number = person["number"] if person["number"].isdecimal() else str(200 + len(tidied))
            values = {name: value for name, value in person.items() if value not in ODD.get(name, ())}
            fixed = {"first_name": f"F{number}", "last_name": "Smith", "email": f"a{number}@x.org", "number": number}
            tidied.setdefault(number, {**dict.fromkeys(MORE, ""), **values, **fixed})
        self._people = list(tidied.values())

    # The written form.

    def write(self, settings: Mapping[str, Any]) -> bytes:
        """Return the list as a file in the form that the settings name, sometimes damaged."""
        end = "\r\n" if self._form["crlf"] else "\n"
        delimiter = settings.get("delimiter", ",")
        text = f"A list{end}" * settings.get("skip_first_lines", 0) + self._table(end, delimiter)
        text += f"Total{end}END{end}" if settings.get("skip_last_lines") else ""
        if self._form["utf16"]:
            return text.encode("utf-16")
        if self._form["bom"]:
            return self._spoil(b"\xef\xbb\xbf" + text.encode(), delimiter)
        return self._spoil(text.encode(settings.get("encoding", "utf-8"), "replace"), delimiter)

    def _table(self, end: str, delimiter: str) -> str:
        text, names = io.StringIO(), [*COLUMNS, *self._columns]

        def write(cells: Sequence[str], *, otherwise: bool) -> None:
            quoting, its_end = self._form["quoting"], end
            if otherwise:
                quoting, its_end = self._dice.choice(QUOTES), self._dice.choice(("\n", "\r\n"))
            csv.writer(text, lineterminator=its_end, delimiter=delimiter, quoting=quoting).writerow(cells)

        write(names, otherwise=False)
        for person in self._people:
            write([person[name] for name in names], otherwise=self._dice.random() < self._form["mixed"])
            if self._dice.random() < 0.01:
                text.write(end)
        return text.getvalue()

    def _spoil(self, content: bytes, delimiter: str) -> bytes:
        dice = self._dice.random()
        at = self._dice.randrange(len(content))
        if dice < 0.05:
            return content[:at]
        if dice < 0.08:
            byte = self._dice.choice((b'"', b"\n", b"\0", b"\xff", b"\r", b"\x1a", b","))
            return content[:at] + byte + content[at:]
        if dice < 0.1:
            return content.rstrip(b"\r\n")
        if dice < 0.12:
            return content + b"\x1a"
        if dice < 0.13:
            return content.replace(delimiter.encode(), b"|")
        if dice < 0.14:
            return content.decode("cp1252", "replace").encode("utf-8")  # as by a program that read another encoding
        return content
