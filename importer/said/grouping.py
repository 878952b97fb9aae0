"""Messages as people read them: the same one about many rows of a column is told once. Pure.

Two messages are the same if their severity, code and column are, and their sentences apart from the value and from
the lines they name. So a hint that fits one value only is told for that value. Reports, the API and errors.csv have
every message by itself; pages, commands and mails show groups.

Messages about the whole file keep their place before the others; those of rows follow, rejected ones first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from importer.model import Problem, Severity
from importer.said.whole_file import is_about_the_file

LINES_NAMED = 5
VALUES_NAMED = 3
WHOLE_FILE_TIMES = 10
"""Of what is about the whole file there may be so many times more than of rows: hardly a file has that much."""

BARE_VALUE = 4
"""A value of at least so many characters, a digit among them, is found in a sentence without quotation marks too."""

_LINES = re.compile(r"\b(lines?) \d[\d,]*(?:(?:, | and )\d[\d,]*)*", re.IGNORECASE)
_DAY = re.compile(r"the day \d{4}-\d{2}-\d{2}")
_ADDRESS = re.compile(r"[^\s“”]+@[^\s“”]+[^\s“”.,;:]")
_FORMS = re.compile(r"This (seems to|may) be (.+?)\.(?: |$)")
_COLUMNS = frozenset({"unknown_column", "skills_column", "column_not_used", "header_spelling"})
"""Messages about one column of the header each: of many columns they are the same."""

_SEVERITIES = [severity.value for severity in Severity]


@dataclass(slots=True)
class Group:
    """Messages that say the same. `lines` are the first of them, and `values` the first different ones."""

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
        """`29 rows`: how many of what say this."""
        what = "column" if self.code in _COLUMNS else "row" if self.lines else "time"
        return f"{self.count:,} {what}{'' if self.count == 1 else 's'}"

    @property
    def named_lines(self) -> str:
        """`3, 7, 12, 15, 20, …`; "" where no line is known, or they say nothing."""
        lines = [] if self.code in _COLUMNS and self.count > 1 else sorted(self.lines)
        return ", ".join([*(f"{line:,}" for line in lines), *(["…"] if lines and self.count > len(lines) else [])])

    @property
    def named_values(self) -> str:
        """`“a”, “b”, …`; "" where there are none."""
        return ", ".join([*(f"“{value}”" for value in self.values), *(["…"] if self.more_values else [])])

    @property
    def alone(self) -> str:
        """The sentence where the column, the lines and the values stand beside it."""
        value = self.values[0] if self.values else None
        return without_place({"column": self.column, "value": value, "message": self.message})

    def sentence(self, *, values: bool = True) -> str:
        """All of it in one sentence, the place included. Without `values` none is in it but what a message has."""
        if self.count == 1:
            told = self.column and self.message.startswith(self.column)  # such a one tells its place itself
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
        """Let this group say what `other` is about, too."""
        self.count += other.count
        ours, theirs = (self, other) if self.lines[:1] <= other.lines[:1] else (other, self)
        values = list(dict.fromkeys([*ours.values, *theirs.values]))
        self.more_values = self.more_values or other.more_values or len(values) > VALUES_NAMED
        self.values = values[:VALUES_NAMED]
        self.lines = sorted([*self.lines, *other.lines])[:LINES_NAMED]


def grouped(messages: Iterable[Mapping[str, Any]]) -> list[Group]:
    """`messages`, each as `Problem.to_json` gives it, told once each; the order is that of the first of each."""
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
    """`groups`, where dates that may be in two forms are told with those that are in one of the two for sure.

    Only where all sure dates of the column are in that one: in a mix each is told by itself.
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
    """`messages`, each a group of its own, in their order."""
    found = []
    for message in messages:
        group = Group(message["severity"], message["code"], message["column"], message["message"])
        group.add(message)
        found.append(group)
    return found


def first_groups(groups: Sequence[Group], limit: int) -> list[Group]:
    """The groups about the whole file, which none of the others cuts off, and the first `limit` of those."""
    kept, room = [], {True: limit * WHOLE_FILE_TIMES, False: limit}
    for group in groups:
        about = is_about_the_file(group.severity, group.code)
        room[about] -= 1
        if room[about] >= 0:
            kept.append(group)
    return kept


def without_place(said: Mapping[str, Any]) -> str:
    """The sentence of a message, where its column and value stand beside it already."""
    column, value, message = said["column"], said["value"], str(said["message"])
    for place in (f"{column} “{value}”: ", f"{column}: "):
        message = message.removeprefix(place)
    return message[:1].upper() + message[1:]


def without_value(said: Mapping[str, Any]) -> str:
    """The sentence of a message without its place, its value and the lines it names: what many have in common."""
    sentence, value = without_place(said), said["value"]
    if value:
        sentence = sentence.replace(f"“{value}”", "“…”")
        # A word, or a short number, may stand in the sentence for itself.
        if len(value) >= BARE_VALUE and any(letter.isdigit() for letter in value):
            sentence = sentence.replace(value, "…")
        if "@" in value:
            sentence = _ADDRESS.sub(lambda found: "…" if found[0] in value else found[0], sentence)
        sentence = _DAY.sub("a day", sentence)
    return _LINES.sub(r"\1 …", sentence)


def _in_order(groups: list[Group]) -> list[Group]:
    """What is about the whole file as it came, why a file failed included; then the others by severity."""
    about = [index for index, group in enumerate(groups) if is_about_the_file(group.severity, group.code)]
    whole = about[-1] + 1 if about else 0
    return groups[:whole] + sorted(groups[whole:], key=lambda group: _SEVERITIES.index(group.severity))
