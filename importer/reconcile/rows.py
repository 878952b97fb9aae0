"""The values that the steps of a batch pass on: a row with its look-ups and decision, and the writes of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from importer.model import Problem
from importer.reconcile.plan import Judgement
from importer.reconcile.unread import LeaverSigns
from importer.rules.cells import FieldValue
from importer.rules.rows import CheckedRow
from importer.users.columns import Columns, User, Value
from importer.users.importing.addresses import SetAside
from importer.users.importing.links import Waiting

LINES_NAMED = 5


@dataclass(slots=True)
class RowInHand:
    """A row that is checked on its own, with the results so far.

    `before`: the cells of a row of the previous file that settled the `known` user with the same identifier cell.
    """

    line: int
    cells: list[str]
    raw: str
    key: str | None
    known: int = 0
    user: User | None = None
    checked: CheckedRow = field(init=False)
    judgement: Judgement = field(init=False)
    new_id: int = 0
    unfinished: bool = False
    signs: LeaverSigns | None = None
    before: Sequence[str] | None = None

    @property
    def user_id(self) -> int:
        """The id of the row's user; 0 if there is none."""
        return self.known or self.new_id

    @property
    def settles(self) -> bool:
        """Whether the row settles its user, if it gets no message: then it needs no check next time."""
        return not self.signs and "\n" not in self.raw


@dataclass(slots=True)
class Writes:
    """The writes of one batch of rows.

    `newcomers` and `created` are tuples for `Roster.create`, the former with `newcomers_columns`. The rows of
    newcomers settle them, except those in `unsettled`.
    """

    newcomers: Iterable[tuple[Value, ...]] = ()
    newcomers_columns: Sequence[str] = ("first_name",)
    newcomers_ids: Sequence[int] = ()
    unsettled: set[int] = field(default_factory=set)
    created: list[tuple[Value, ...]] = field(default_factory=list)
    created_again: list[tuple[Value, ...]] = field(default_factory=list)
    updated: list[tuple[User, Columns]] = field(default_factory=list)
    settled: dict[int, bool] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)


@dataclass(slots=True)
class FirstLines:
    """The number of rows of a kind, and their first lines."""

    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        self.count += 1
        self.lines = sorted([*self.lines, line])[:LINES_NAMED]

    @property
    def named(self) -> str:
        """`line 3`; `lines 3, 7, 9, 12, 15, …`."""
        more = ["…"] if self.count > len(self.lines) else []
        return f"{'line' if self.count == 1 else 'lines'} {', '.join([*map(str, self.lines), *more])}"


def names_of(values: Iterable[FieldValue]) -> dict[str, None]:
    """Return the names in these values of team or location fields, each once, in order."""
    names: dict[str, None] = {}
    for value in dict.fromkeys(values):
        if isinstance(value, tuple):
            names |= dict.fromkeys(value)
        elif value and isinstance(value, str):
            names[value] = None
    return names
