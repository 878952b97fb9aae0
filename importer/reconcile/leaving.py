"""Decide whether a row is a leaver, by its flags, its last day and the stored last day.  Pure.

The last day of a user is `leave_date`; if the file has no such column, the stored one counts. It is past when it is
over everywhere on earth, 12 hours after its end in UTC. A last day before the hire date belongs to an earlier
employment: it is stored and has no effect. The hire date is the one that the user has after the row.

Which of several rows of one user counts depends on the file alone: on what each row says (`says_left`). If it
depended on stored days that another row of the file sets, the same file would let another row count the next time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Literal, cast

from importer.file.header import Header
from importer.file.leavers import Tells, tells_beside
from importer.file.letters import visible
from importer.model import Problem, Severity, shown
from importer.rules.cells import FieldValue
from importer.rules.doubts import Counted
from importer.rules.rows import CheckedRow
from importer.rules.settings import ImportSettings
from importer.users.columns import User

Day = Literal["leave_date", "hire_date"]
DAYS: tuple[Day, ...] = ("leave_date", "hire_date")

STILL_THAT_DAY = timedelta(hours=12)
"""The time that a day lasts somewhere on earth after its end in UTC."""


class LastDay(Enum):
    """The kinds of last day."""

    NONE = auto()  # no last day
    AHEAD = auto()  # not over everywhere on earth
    OVER = auto()
    EARLIER = auto()  # of an employment before the hire date


@dataclass(frozen=True, slots=True)
class Leaving:
    """Whether a row is a leaver, the messages about that, and whether it is the same on any later day."""

    leaver: bool
    problems: tuple[Problem, ...] = ()
    lasting: bool = True


def past_before(now: datetime) -> str:
    """Return the day before which every last day is over everywhere on earth, as YYYY-MM-DD."""
    return (now.astimezone(UTC) - STILL_THAT_DAY).date().isoformat()


def last_day(leave: FieldValue, hire: FieldValue, past: str) -> LastDay:
    """Return the kind of the last day `leave` of a user hired on `hire`; `past`: as `past_before` returns it."""
    if not isinstance(leave, str):
        return LastDay.NONE
    if isinstance(hire, str) and leave < hire:
        return LastDay.EARLIER
    return LastDay.OVER if leave < past else LastDay.AHEAD


Days = Mapping[str, object]
"""The stored days of a user: `leave_date` and `hire_date`, as YYYY-MM-DD or None."""


def says_left(
    row: CheckedRow, user: User | None, settings: ImportSettings, past: str, days_in_file: Collection[str]
) -> bool:
    """Return whether `row` is a leaver beside other rows of its user.

    A stored day counts only if the file has no column for it; `days_in_file` has the columns of days that it has.
    """
    days: Days = {name: None if name in days_in_file or user is None else user[name] for name in DAYS}
    return leaving(row, days, settings, past).leaver


def leaving(row: CheckedRow, user: Days | None, settings: ImportSettings, past: str) -> Leaving:
    """Return whether `row` is a leaver. `user` is its user; None if there is none."""
    by_day = LastDay.NONE
    if "leave_date" not in settings.own:
        by_day = last_day(_after(row, user, "leave_date"), hire_date_after(row, user), past)
    if by_day is LastDay.NONE and not row.left_by:
        return STAYS
    named = "leave_date" in row.values
    leaver = row.deactivate or by_day is LastDay.OVER
    stays_by = (*row.stays_by, *["leave_date"] * (by_day is LastDay.AHEAD and named))
    problems: tuple[Problem, ...] = ()
    if leaver and stays_by:
        left_by = (*row.left_by, *["leave_date"] * (by_day is LastDay.OVER))
        problems = (_differ(row, left_by, stays_by),)
    elif by_day is LastDay.EARLIER and named and not leaver:
        problems = (_earlier(row),)
    return Leaving(leaver, problems, lasting=by_day is not LastDay.AHEAD)


STAYS = Leaving(leaver=False)


def hire_date_after(row: CheckedRow, user: Days | None) -> FieldValue:
    """Return the hire date that the user has after the row."""
    return _after(row, user, "hire_date")


def _after(row: CheckedRow, user: Days | None, name: Day) -> FieldValue:
    """Return the day that the user has in the field `name` after the row."""
    if name in row.values:
        return row.values[name]
    # An invalid last day counts as none; an invalid cell of another field leaves the stored value. So does an error
    # value of a spreadsheet (one warning a column), for a last day too.
    if user is None or (name == "leave_date" and any(_is_not_valid(problem, name) for problem in row.problems)):
        return None
    return cast(str | None, user[name])


def _is_not_valid(problem: Problem, name: str) -> bool:
    return problem.column == name and not isinstance(problem, Counted)


def not_needed(row: CheckedRow, settings: ImportSettings) -> tuple[Problem, ...]:
    """Return the problems of a leaver's row without a valid identifier; that of a blank one says what to do."""
    if row.identifier is not None:
        return tuple(row.problems)
    if settings.deactivate_missing:
        says = "This row is a leaver and names no user, so it is not needed. Remove the row."
    else:
        says = (
            "This row is a leaver and names no user, so it deactivates no user. If the user is already deactivated, "
            f"the row is not needed: remove it. If not, write the user's {settings.identifier} in the cell."
        )
    return tuple(
        replace(problem, message=f"{problem.column}: {says}") if problem.column == settings.identifier else problem
        for problem in row.problems
    )


def most_are_leavers(ignored: int, rows: int) -> Problem:
    message = (
        f"{ignored:,} of {rows:,} rows are leavers and were ignored, so these users were not created. If they have "
        "not left, a column is read as its opposite: map it to active, not to deactivate (field_mapping)."
    )
    return Problem(Severity.WARNING, "most_rows_are_leavers", message)


ENOUGH_LEAVERS = 3
"""The fewest leavers that may mean a reversed flag."""


def most_leave(deactivated: int, rows: int, header: Header, settings: ImportSettings) -> list[Problem]:
    """Return a warning that the flag may be reversed, for a file that deactivates most users.

    Empty if there is a warning because of the column's name already.
    """
    flag = next(
        (name for name in ("deactivate", "active") if name in header.columns and name not in settings.own), ""
    )
    if not flag or deactivated < ENOUGH_LEAVERS or reversed_flags(header, settings):
        return []
    message = (
        f"{deactivated:,} of {rows:,} rows deactivate their users. If these users have not left, the values in "
        f"{flag} are reversed: write yes for a user who {'has' if flag == 'deactivate' else 'has not'} left, and "
        "send the file again."
    )
    return [Problem(Severity.WARNING, "most_rows_are_leavers", message, None, flag)]


def reversed_flags(header: Header, settings: ImportSettings) -> list[Problem]:
    """Return a warning for each column that is read as its opposite, judged by its name."""
    found = []
    for raw, name, kind in zip(header.raw, header.columns, tells_beside(header.raw), strict=True):
        opposite = {"deactivate": Tells.ACTIVE, "active": Tells.LEFT}.get(name)
        if opposite and kind is opposite and name not in settings.own and not settings.value_mapping.get(name):
            found.append(_reversed(shown(visible(raw.strip())), name))
    return found


def _reversed(header: str, name: str) -> Problem:
    other = "active" if name == "deactivate" else "deactivate"
    message = (
        f"Column “{header}” is read as {name}, which may be its opposite: a user with yes in it "
        f"{'is deactivated' if name == 'deactivate' else 'is active'}. If yes means the opposite, map the "
        f"column to {other} (field_mapping)."
    )
    return Problem(Severity.WARNING, "reversed_flag", message, 1, name, header)


def no_admin_left(names: Sequence[str]) -> Problem:
    message = (
        f"After this import, no active user has the role admin. Before it, {_listed(tuple(names))} had it. "
        "Give the role admin to a user in the file."
    )
    return Problem(Severity.WARNING, "last_admin", message, None, "role")


def _differ(row: CheckedRow, left_by: tuple[str, ...], stays_by: tuple[str, ...]) -> Problem:
    message = (
        f"The cells disagree: the user has left by {_listed(left_by)}, but not by {_listed(stays_by)}. "
        "The row counts as a leaver. Fix the wrong cell."
    )
    return Problem(
        Severity.WARNING, "leaver_cells_differ", message, row.line, left_by[0], shown(row.identifier or "")
    )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _earlier(row: CheckedRow) -> Problem:
    leave = str(row.values["leave_date"])
    message = (
        f"leave_date {leave} is before the hire date, so it belongs to an earlier employment. It was kept, "
        "and the user is active. If the user has left, fix the date. If not, leave the cell blank."
    )
    return Problem(Severity.WARNING, "earlier_leave_date", message, row.line, "leave_date", leave)
