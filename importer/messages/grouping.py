"""Group messages for pages, commands and mails: a message about many rows of a column is shown once. Pure.

Two messages are in one group if severity, code, column and sentence are the same, without the value and the lines
that the sentence names. So a hint that fits only one value is shown with that value. Reports, the API and errors.csv
have every single message.

Messages about the whole file come first; then those about rows, rejected rows first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from importer.messages.whole_file import is_about_the_file
from importer.model import Problem, Severity

LINES_NAMED = 5
VALUES_NAMED = 3
WHOLE_FILE_TIMES = 10
"""A list of groups may have this many times more groups about the whole file than about rows."""

BARE_VALUE = 4
"""A value with a digit and at least this many characters is found in a sentence even without quotation marks."""

_LINES = re.compile(r"\b(lines?) \d[\d,]*(?:(?:, | and )\d[\d,]*)*", re.IGNORECASE)
_DAY = re.compile(r"the day \d{4}-\d{2}-\d{2}")
_ADDRESS = re.compile(r"[^\s“”]+@[^\s“”]+[^\s“”.,;:]")
_FORMS = re.compile(r"This (seems to|may) be (.+?)\.(?: |$)")
_COLUMNS = frozenset({"unknown_column", "skills_column", "column_not_used", "header_spelling"})
"""Codes of messages about one column of the header; those about several columns are one group."""

_SEVERITIES = [severity.value for severity in Severity]


@dataclass(slots=True)
class Group:
    """Messages with the same sentence. `lines` are the first lines, and `values` the first different values."""

    severity: str
    code: str
    column: str | None
    message: str
    count: int = 0
    lines: list[int] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    more_values: bool = False

    @property
    def counted(self) -> str:
        """`29 rows`: the count with its unit."""
        what = "column" if self.code in _COLUMNS else "row" if self.lines else "time"
        return f"{self.count:,} {what}{'' if self.count == 1 else 's'}"

    @property
    def named_lines(self) -> str:
        """`3, 7, 12, 15, 20, …`; "" if no line is known, or the lines do not matter."""
        lines = [] if self.code in _COLUMNS and self.count > 1 else sorted(self.lines)
        return ", ".join([*(f"{line:,}" for line in lines), *(["…"] if lines and self.count > len(lines) else [])])

    @property
    def named_values(self) -> str:
        """`“a”, “b”, …`; "" if there are none."""
        return ", ".join([*(f"“{value}”" for value in self.values), *(["…"] if self.more_values else [])])

    @property
    def alone(self) -> str:
        """The sentence, for a list that shows column, lines and values beside it."""
        value = self.values[0] if self.values else None
        return without_place({"column": self.column, "value": value, "message": self.message})

    def sentence(self, *, values: bool = True) -> str:
        """Return the group in one sentence, with its place. Without `values`, only those in the message itself."""
        if self.count == 1:
            told = self.column and self.message.startswith(self.column)  # the message names its place itself
            where = f"line {self.lines[0]}: " if self.lines else ""
            value = f" ({self.values[0]})" if values and self.values and not told else ""
            return f"{where}{'' if told or not self.column else f'{self.column}: '}{self.message}{value}"
        lines = f"lines {self.named_lines}" if self.named_lines else ""
        places = "; ".join(part for part in (lines, self.named_values if values else "") if part)
        column = f"{self.column}: " if self.column else ""
        return f"{self.counted}: {column}{self.message}{f' ({places})' if places else ''}"

    def add(self, message: Mapping[str, Any]) -> None:
        line, value = message["line"], message["value"]
        self.count += 1
        if line and len(self.lines) < LINES_NAMED:
            self.lines.append(line)
        if value and value not in self.values:
            if len(self.values) < VALUES_NAMED:
                self.values.append(value)
            else:
                self.more_values = True

    def take(self, other: Group) -> None:
        """Merge `other` into this group."""
        self.count += other.count
        ours, theirs = (self, other) if self.lines[:1] <= other.lines[:1] else (other, self)
        values = list(dict.fromkeys([*ours.values, *theirs.values]))
        self.more_values = self.more_values or other.more_values or len(values) > VALUES_NAMED
        self.values = values[:VALUES_NAMED]
        self.lines = sorted([*self.lines, *other.lines])[:LINES_NAMED]


def grouped(messages: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Return the groups of `messages` (as `Problem.to_json` returns them), in the order of their first messages."""
    groups: dict[tuple[str, str, str | None, str], tuple[Group, str]] = {}
    for message in messages:
        severity, code = message["severity"], message["code"]
        column = None if code in _COLUMNS else message["column"]
        sentence = without_value(message)
        key = (severity, code, column, sentence)
        if key not in groups:
            groups[key] = Group(severity, code, message["column"], message["message"]), sentence
        group = groups[key][0]
        if group.count == 1:
            group.column, group.message = column, sentence
        group.add(message)
    return _in_order(_with_sure_dates([group for group, _ in groups.values()]))


def _with_sure_dates(groups: list[Group]) -> list[Group]:
    """Merge groups of dates that may be in two forms into the group of dates that are certainly in one of them.

    Only if all certain dates of the column are in that form.
    """
    sure: dict[tuple[str, str | None], dict[str, Group]] = {}
    for group in groups:
        if group.code == "bad_date" and (found := _FORMS.search(group.message)) and found[1] == "seems to":
            sure.setdefault((group.severity, group.column), {})[found[2]] = group
    kept = []
    for group in groups:
        found = _FORMS.search(group.message) if group.code == "bad_date" else None
        forms = sure.get((group.severity, group.column), {})
        if found and found[1] == "may" and len(forms) == 1 and {*forms} <= {*found[2].split(" or ")}:
            forms[next(iter(forms))].take(group)
        else:
            kept.append(group)
    return kept


def grouped_problems(problems: Iterable[Problem]) -> list[Group]:
    return grouped(dict(problem.to_json()) for problem in problems)


def each_alone(messages: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Return one group for each of `messages`, in their order."""
    found = []
    for message in messages:
        group = Group(message["severity"], message["code"], message["column"], message["message"])
        group.add(message)
        found.append(group)
    return found


def first_groups(groups: Sequence[Group], limit: int) -> list[Group]:
    """Return the groups about the whole file, and the first `limit` of the others."""
    kept, room = [], {True: limit * WHOLE_FILE_TIMES, False: limit}
    for group in groups:
        about = is_about_the_file(group.severity, group.code)
        room[about] -= 1
        if room[about] >= 0:
            kept.append(group)
    return kept


def without_place(said: Mapping[str, Any]) -> str:
    """Return the sentence of a message without column and value, which a list shows beside it."""
    column, value, message = said["column"], said["value"], str(said["message"])
    for place in (f"{column} “{value}”: ", f"{column}: "):
        message = message.removeprefix(place)
    return message[:1].upper() + message[1:]


def without_value(said: Mapping[str, Any]) -> str:
    """Return the sentence of a message without its place, its value and the lines it names."""
    sentence, value = without_place(said), said["value"]
    if value:
        sentence = sentence.replace(f"“{value}”", "“…”")
        # A word or a short number may be in the sentence for another reason.
        if len(value) >= BARE_VALUE and any(letter.isdigit() for letter in value):
            sentence = sentence.replace(value, "…")
        if "@" in value:
            sentence = _ADDRESS.sub(lambda found: "…" if found[0] in value else found[0], sentence)
        sentence = _DAY.sub("a day", sentence)
    return _LINES.sub(r"\1 …", sentence)


def _in_order(groups: list[Group]) -> list[Group]:
    """Sort groups: those up to the last one about the whole file as they are, then the others by severity."""
    about = [index for index, group in enumerate(groups) if is_about_the_file(group.severity, group.code)]
    whole = about[-1] + 1 if about else 0
    return groups[:whole] + sorted(groups[whole:], key=lambda group: _SEVERITIES.index(group.severity))
