"""What a row means for a user, and whether an import as a whole may be applied. Pure: no I/O, no clock.

Here and nowhere else: what happens to a row (SPEC section 4, the table), which columns of a user it changes, and
the guard.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from importer.errors import FileError
from importer.model import Counts, GuardReason, Problem, Severity, Written, shown
from importer.reconcile.leaving import leaving, not_needed
from importer.rules.cells import FieldValue
from importer.rules.doubts import Counted
from importer.rules.emails import email_key
from importer.rules.rows import CheckedRow, as_leaver
from importer.rules.settings import ImportSettings
from importer.users.columns import CUSTOM, Columns, User, Value, ids_in, join_ids
from importer.users.importing.applied import LastApplied

LINK_FIELDS = ("manager", "coach")
"""Fields that name another user. They are resolved after all rows are in."""


class Fate(Enum):
    """What becomes of one row."""

    CREATE = auto()
    WRITE = auto()  # overwrite the fields of a known user; `state` says how the user stands afterwards
    LEAVE = auto()  # known, and nothing is written on purpose
    IGNORE = auto()  # a leaver nobody knows, or one beside a row that is not a leaver's
    REJECT = auto()


@dataclass(slots=True)
class Judgement:
    """What becomes of a row, and what is said about it. `state`: how the user stands afterwards.

    `lasting`: the same row comes to the same on any later day, too. `leaver`: it is a leaver's.
    """

    fate: Fate
    state: str = "active"
    problems: tuple[Problem, ...] = ()
    lasting: bool = True
    leaver: bool = False


def judge(row: CheckedRow, user: User | None, settings: ImportSettings, past: str) -> Judgement:
    """Decide what becomes of `row`, which stands for its identifier; `user` is whom that names.

    Last days before `past` are over.
    """
    found = leaving(row, user, settings, past)
    if row.key is None:
        problems = not_needed(row, settings) if found.leaver else tuple(row.problems)
        return Judgement(Fate.REJECT, problems=problems, leaver=found.leaver)
    if found.leaver and not row.deactivate:
        as_leaver(row)
    row.problems += found.problems
    judgement = _judge_leaver(row, user) if found.leaver else _judge_other(row, user, settings)
    judgement.lasting, judgement.leaver = found.lasting, found.leaver
    return judgement


def _judge_other(row: CheckedRow, user: User | None, settings: ImportSettings) -> Judgement:
    if row.problems and any(problem.severity is Severity.ERROR for problem in row.problems):
        return Judgement(Fate.REJECT, problems=tuple(row.problems))
    if user is None:
        return Judgement(Fate.CREATE, "active", tuple(row.problems))
    if user["state"] == "deactivated" and not settings.reactivate_returning:
        # What is said of its cells says that they were applied.
        return Judgement(Fate.LEAVE, "deactivated", (_not_reactivated(row),))
    return Judgement(Fate.WRITE, "active", tuple(row.problems))


def _judge_leaver(row: CheckedRow, user: User | None) -> Judgement:
    if user is None:
        return Judgement(Fate.IGNORE, problems=(_unknown_leaver(row),))
    if user["protected"] and user["state"] == "active":
        return Judgement(Fate.WRITE, "active", (*row.problems, protected_user(row.line, row.identifier)))
    return Judgement(Fate.WRITE, "deactivated", tuple(row.problems))


def _not_reactivated(row: CheckedRow) -> Problem:
    message = "This user was deactivated and stays so. Take the row out, or have reactivate_returning turned on."
    return Problem(Severity.WARNING, "not_reactivated", message, row.line, None, shown(row.identifier or ""))


def _unknown_leaver(row: CheckedRow) -> Problem:
    column = row.left_by[0] if row.left_by else "leave_date"
    message = (
        "There is no such user to deactivate, so nothing was done. Unless it is misspelt, nothing needs to be done."
    )
    return Problem(Severity.NOTICE, "deactivate_unknown", message, row.line, column, shown(row.identifier or ""))


def said_of_rejected(row: CheckedRow, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Those of `problems` that are true of `row` now that it is rejected.

    Where its own cells are why, all are: the rules have worded them for that. Else only the reason itself, since what
    is said of the cells says that they were applied. What is said once for a column counts only cells that were.
    """
    cells_are_why = any(problem.severity is Severity.ERROR for problem in row.problems)
    told = [problem for problem in problems if not isinstance(problem, Counted)]
    return tuple(problem for problem in told if cells_are_why or problem.severity is Severity.ERROR)


def protected_user(line: int | None, identifier: str | None) -> Problem:
    message = "This user is protected and was not deactivated. The operator can lift the protection."
    return Problem(Severity.WARNING, "protected_user", message, line, None, shown(identifier or ""))


def footer_missing(line: int, left_out: int) -> FileError:
    lines = "last line" if left_out == 1 else f"last {left_out} lines"
    return FileError(
        "footer_missing",
        f"Line {line} is the row of a person, but skip_last_lines leaves out the {lines} of every file: the lines "
        "that end the list are not there, so its end may be missing. Send the complete file, or have that setting "
        "changed if your system does not write such lines any more.",
        line=line,
    )


def hides_who_is_meant(row: CheckedRow, key: str | None) -> bool:
    """Whether the rejected `row` may be about any user, so that no user counts as absent.

    `key` is its identifier. A row that is about no person is about none of them.
    """
    return key is None and not row.about_nobody


def unfinished_last_row(row: CheckedRow) -> Problem:
    message = (
        "The last row has no line end, so it may have been cut off, and was not applied. "
        "Export the file again, or end its last line with a line end."
    )
    return Problem(Severity.ERROR, "unfinished_last_row", message, row.line, None, shown(row.identifier or ""))


@dataclass(frozen=True, slots=True)
class NameIds:
    """The ids of at least the teams and locations that a batch names, by name as it is spelt."""

    teams: Mapping[str, int]
    locations: Mapping[str, int]


def columns_of(row: CheckedRow, user: User | None, ids: NameIds, own: Collection[str]) -> Columns:
    """The columns of users that `row` sets, links aside. `user` is None for a new one; `own` are custom fields."""
    # What the rules let through, until what is no column yet has become one.
    columns: dict[str, Any] = {name: value for name, value in row.values.items() if name not in own}
    if len(columns) < len(row.values):
        custom = {name: value for name, value in row.values.items() if name in own}
        columns["custom"] = custom_column(custom, user["custom"] if user else "{}")
    for name in LINK_FIELDS:
        columns.pop(name, None)
    email = columns.get("email")
    if email is not None:
        columns["email_key"] = email_key(email)
    if "location" in columns:
        location = columns.pop("location")
        columns["location_id"] = ids.locations[location] if location else None
    if "primary_team" in columns or "secondary_team" in columns:
        _set_teams(columns, user, ids)
    return columns


def _set_teams(columns: dict[str, Any], user: User | None, ids: NameIds) -> None:
    """Put ids for names."""
    if "primary_team" in columns:
        name = columns.pop("primary_team")
        primary = ids.teams[name] if name else None
    else:
        primary = user["primary_team_id"] if user else None
    if "secondary_team" in columns:
        found = team_columns(primary, [ids.teams[name] for name in columns.pop("secondary_team") or ()])
    else:
        secondary = ids_in(user["secondary_team_ids"]) if user else []
        found = primary, join_ids(team for team in secondary if team != primary)
    columns["primary_team_id"], columns["secondary_team_ids"] = found


def team_columns(primary: int | None, secondary: Sequence[int]) -> tuple[int | None, str]:
    """The two team columns: the first secondary team steps in for a missing primary one, and none stands twice."""
    if primary is None and secondary:
        primary = secondary[0]
    others = [team for team in secondary if team != primary]
    return primary, join_ids(others) if len(others) > 1 else "".join(map(str, others))


def custom_column(values: Mapping[str, FieldValue], before: str = "{}") -> str:
    """The column `custom` with `values` put in; a blank one is taken out. Equal ones give an equal text."""
    text = custom_json({**json.loads(before), **values})
    return before if before != "{}" and text == custom_json(json.loads(before)) else text


def custom_json(values: Mapping[str, object]) -> str:
    """The values of custom fields as the column `custom` holds them: blank ones left out, keys in order."""
    return json.dumps({key: values[key] for key in sorted(values) if values[key] is not None}, ensure_ascii=False)


def custom_changes(before: str, after: str) -> dict[str, tuple[str | None, str | None]]:
    """What differs between two texts of the column `custom`, as the history has it.

    By the name of the field there, `custom.KEY`: the JSON of its old and new value, None where it is blank.
    """
    old, new = ({key: json.dumps(value) for key, value in json.loads(text).items()} for text in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {f"{CUSTOM}{key}": (old.get(key), new.get(key)) for key in keys}


def differences(user: User, columns: Mapping[str, Value]) -> Columns:
    """Those of `columns` whose value differs from the user's."""
    before: Mapping[str, object] = user
    return {name: value for name, value in columns.items() if before[name] != value}


# The guard.


@dataclass(frozen=True, slots=True)
class Wholeness:
    """What is known about whether the file is whole."""

    ends_with_newline: bool
    written: Written | None
    rows: int
    last: LastApplied | None
    last_user_absent: bool


def reasons_of_truncation(facts: Wholeness, settings: ImportSettings) -> list[str]:
    """Why the file may not be whole, each as a clause to put in a sentence; empty if nothing speaks for it."""
    if not settings.detect_truncation:
        return []
    found = []
    if settings.require_final_newline and not facts.ends_with_newline:
        found.append("its last line has no line end")
    if facts.written and facts.written.ends_full:
        found.append("the upload ended in a full block, as one does that was interrupted")
    if facts.written and facts.written.foreign:
        found.append("it holds bytes from before this upload, as a resumed or appended file does")
    if facts.last_user_absent:
        found.append("the person on the last row of the last applied file is missing")
    if facts.last and _passes(facts.last.rows - facts.rows, facts.last.rows, settings.max_row_drop_percent):
        found.append(
            f"it has {_number(facts.rows, 'row')} where the last applied file had {facts.last.rows} "
            f"(more than {settings.max_row_drop_percent:g}% fewer)"
        )
    return found


def guard_reasons(
    counts: Counts, active: int, users: int, truncated: bool, settings: ImportSettings, *, renamed: bool = False
) -> list[GuardReason]:
    """Why an import with these counts must not be applied unseen. `active` and `users` count those before it.

    `renamed`: many of those it deactivates may be those it creates.
    """
    found = []
    if _too_many_deactivations(counts.deactivated, active, settings):
        found.append(GuardReason.TOO_MANY_DEACTIVATIONS)
    if renamed and settings.max_deactivations_percent < 100:
        found.append(GuardReason.IDENTIFIERS_CHANGED)
    if users and _passes(counts.created + counts.reactivated, active, settings.max_creations_percent):
        found.append(GuardReason.TOO_MANY_CREATIONS)
    if _passes(counts.updated, active, settings.max_updates_percent):
        found.append(GuardReason.TOO_MANY_UPDATES)
    if truncated and counts.deactivated_absent:
        found.append(GuardReason.POSSIBLY_TRUNCATED)
    return found


def _too_many_deactivations(deactivated: int, active: int, settings: ImportSettings) -> bool:
    if settings.max_deactivations_percent >= 100:
        return False
    over_limit = _passes(deactivated, active, settings.max_deactivations_percent)
    most = deactivated >= 2 and deactivated * 2 > active
    return most or (over_limit and deactivated > settings.max_deactivations_min)


def _passes(number: int, active: int, percent: float | None) -> bool:
    return percent is not None and number * 100 > percent * active


def guard_message(
    reasons: Sequence[GuardReason],
    counts: Counts,
    active: int,
    truncation: list[str],
    *,
    others: bool = False,
    dry_run: bool = False,
    renamed: str = "",
    advice: str = "",
) -> str:
    """Why an import is held, in a sentence for the person who has to decide.

    `others`: it would deactivate somebody who was not on the list that was approved. `renamed`: whom it would create
    again, as a clause; `advice`: what keeps them the same users, in sentences.
    """
    clauses = {
        GuardReason.TOO_MANY_DEACTIVATIONS: (
            f"it would deactivate {counts.deactivated} of {_number(active, 'active user')}"
        ),
        GuardReason.TOO_MANY_CREATIONS: (
            f"it would create or reactivate {_number(counts.created + counts.reactivated, 'user')}"
        ),
        GuardReason.TOO_MANY_UPDATES: f"it would change {_number(counts.updated, 'user')}",
        GuardReason.POSSIBLY_TRUNCATED: (
            f"the file may not be whole ({'; '.join(truncation)}), "
            f"and it would deactivate {_number(counts.deactivated_absent, 'user')} for being absent"
        ),
        GuardReason.IDENTIFIERS_CHANGED: renamed,
    }
    found = [clauses[reason] for reason in reasons]
    if others:
        found.insert(0, "it would deactivate somebody who was not on the list that was approved")
    why = "; and ".join(found)
    why += f". {advice}" if advice else "."
    if dry_run:
        return f"This was a dry run, and nothing was changed. Sent for real, the file would be held: {why}"
    return f"Held, nothing was changed: {why} Look at whom it would touch, then approve or discard it."


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
