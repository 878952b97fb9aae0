"""A batch of rows checked column by column: everything that needs no other row and no user.

Nearly all rows of a first import need no message. Checking whole columns shows that at a tenth of the cost of
checking row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from importer.file.reader import Batch
from importer.reconcile.leaving import LastDay, last_day
from importer.reconcile.rows import RowInHand
from importer.reconcile.unread import Unread
from importer.rules.cells import FieldValue
from importer.rules.rows import CheckedColumns, RowChecker


@dataclass(slots=True)
class Sheet:
    """The rows of one batch, by their place in it.

    Rows at `checked.odd` must be checked on their own. Rows at `passing` settle no user: their last day is ahead, or
    they have more than one line. The file ends in the middle of the row on the line `unfinished`; 0 for none.
    `is_met`: no user has one of its identifiers. Rows of existing users are then not in it, but `in_hand`.
    """

    lines: Sequence[int]
    raws: Sequence[str]
    checked: CheckedColumns
    passing: set[int]
    unfinished: int = 0
    is_met: bool = False
    in_hand: list[RowInHand] = field(default_factory=list)

    @property
    def keys(self) -> Sequence[str | None]:
        """The identifier of each row as compared; None for no valid one."""
        return self.checked.keys


def take_apart(
    batch: Batch, rows: Sequence[Sequence[str]], checker: RowChecker, unread: Unread, unfinished: int
) -> Sheet:
    """Return the sheet of `batch` with the cells `rows`.

    The file ends in the middle of the line `unfinished`, if any.
    """
    checked = checker.check_columns(rows)
    odd = checked.odd
    if unfinished and unfinished in batch.lines[-1:]:
        odd.add(len(rows) - 1)
    if unread.any:
        odd.update(at for at, cells in enumerate(rows) if unread.signs_in(cells))
    for name, left in checker.flags.items():
        column = checked.values[name]
        if left in column:
            odd.update(at for at, said in enumerate(column) if said is left)
    passing = _last_days(checked.values, checker.past, odd) if "leave_date" in checker.days else set()
    passing.update(at for at, raw in enumerate(batch.raws) if "\n" in raw)
    return Sheet(batch.lines, batch.raws, checked, passing, unfinished)


def in_hand(
    batch: Batch,
    rows: Sequence[list[str]],
    was: Mapping[int, tuple[int, Sequence[str]]],
    checker: RowChecker,
    unread: Unread,
    unfinished: int,
) -> list[RowInHand]:
    """Return the rows of `batch` with the cells `rows`, each on its own.

    `was` has, for lines that were changed in their place, the user that the previous line settled, and its cells. If
    both lines have the same identifier cell, the user is known.
    """
    found = []
    for line, raw, cells in zip(batch.lines, batch.raws, rows, strict=True):
        row = RowInHand(line, cells, raw, checker.key(cells), unfinished=line == unfinished)
        if unread.any:
            row.signs = unread.signs_in(cells)
        if line in was and row.key is not None and not (row.signs or row.unfinished):
            user, before = was[line]
            if checker.names_the_same(cells, before):
                row.known, row.before = user, before
        found.append(row)
    return found


def _last_days(values: Mapping[str, Sequence[FieldValue]], past: str, odd: set[int]) -> set[int]:
    """Return the places of last days that are ahead; if it is over or needs a message, the row becomes odd."""
    ahead = set()
    hired = values.get("hire_date") or repeat(None)
    for at, (leave, hire) in enumerate(zip(values["leave_date"], hired, strict=False)):
        if leave is None:
            continue
        if last_day(leave, hire, past) is LastDay.AHEAD:
            ahead.add(at)
        else:
            odd.add(at)
    return ahead
