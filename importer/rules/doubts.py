"""Warnings that appear once for a column: counts their cells while the file streams. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from importer.file.letters import visible
from importer.model import Problem, Severity, shown
from importer.rules.cells import Doubtful

LINES_NAMED = 5
VALUES_NAMED = 3
VALUE_NAMED = 40


@dataclass(frozen=True, slots=True)
class Counted(Problem):
    """A warning about one cell that appears once for its column, if at least `least` of its cells need it.

    It has no line: equal cells of a column share one object.
    """

    advice: str = ""
    least: int = 1


@dataclass(slots=True)
class _Column:
    advice: str
    least: int
    count: int = 0
    lines: list[int] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)

    def add(self, line: int, value: str) -> None:
        """Count a cell. Keep the lines and values that are first in the file."""
        self.count += 1
        if len(self.lines) < LINES_NAMED or line < self.lines[-1]:
            self.lines = sorted([*self.lines, line])[:LINES_NAMED]
        if line < self.values.get(value, line + 1):
            self.values[value] = line
            if len(self.values) > VALUES_NAMED + 1:
                del self.values[max(self.values, key=self.values.__getitem__)]


def doubt(line: int, name: str, cell: str, why: Doubtful, *, rejected: bool = False) -> Problem:
    """Return the problem of a cell of the row on `line`, counted for its column.

    A formula in a `rejected` row is an error of that row: errors.csv makes it text, so sent again it would be a
    value.
    """
    if rejected and why.code == "formula":
        value = shown(visible(cell))
        return Problem(Severity.ERROR, why.code, f"{name} “{value}”: {why.message}", line, name, value)
    return _counted(name, cell, why)


@lru_cache(maxsize=10_000)
def _counted(name: str, cell: str, why: Doubtful) -> Counted:
    value = shown(visible(cell))
    return Counted(Severity.WARNING, why.code, why.message, None, name, value, why.message, why.least)


class Doubts:
    """The counted warnings of one file, by column and code."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], _Column] = {}

    def sift(self, problems: Iterable[Problem], line: int) -> list[Problem]:
        """Count the problems of the row on `line` that appear once for a column; return the others."""
        others = []
        for problem in problems:
            if not isinstance(problem, Counted):
                others.append(problem)
                continue
            key = (problem.column or "", problem.code)
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = _Column(problem.advice, problem.least)
            column.add(line, problem.value or "")
        return others

    def problems(self, *, leave_out: str = "") -> list[Problem]:
        """Return one warning for each column and code, by first line, except those with the code `leave_out`."""
        found = [
            (column.lines[0], key)
            for key, column in self._columns.items()
            if column.count >= column.least and key[1] != leave_out
        ]
        return [_message(name, code, self._columns[name, code]) for _, (name, code) in sorted(found)]


def _message(name: str, code: str, column: _Column) -> Problem:
    values = sorted(column.values, key=column.values.__getitem__)
    named = [f"“{value if len(value) <= VALUE_NAMED else value[:VALUE_NAMED] + '…'}”" for value in values]
    if len(named) > VALUES_NAMED:
        named = [*named[:VALUES_NAMED], "the like"]
    what = f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else named[0]
    lines = ", ".join(map(str, column.lines)) + (", …" if column.count > len(column.lines) else "")
    one = column.count == 1
    lead = f"1 cell holds {what} (line {lines})" if one else f"{column.count:,} cells hold {what} (lines {lines})"
    message = f"{name}: {lead}. {column.advice}"
    return Problem(Severity.WARNING, code, message, column.lines[0], name, values[0])
