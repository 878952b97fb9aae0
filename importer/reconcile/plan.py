"""Decide what a row does to a user, and whether an import is held. Pure: no I/O, no clock.

This is the only place for the decision on a row, the columns that it changes, and the guard.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ground.words import as_sentence, counted
from importer.errors import FileError
from importer.model import Counts, Guard, GuardReason, Problem, Severity, Written, is_more_than_half, shown
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
    """What to do with one row."""

    CREATE = auto()
    WRITE = auto()  # overwrite the fields of an existing user; `state` is the user's new state
    LEAVE = auto()  # an existing user who stays as is: deactivated, and reactivate_returning is off
    IGNORE = auto()  # a leaver without a user, or one whose identifier a row that is not a leaver has too
    REJECT = auto()


@dataclass(slots=True)
class Judgement:
    """The decision on one row, and the messages about it. `state`: the user's state after the row.

    `lasting`: the same row gets the same decision on any later day. `leaver`: the row is a leaver.
    """

    fate: Fate
    state: str = "active"
    problems: tuple[Problem, ...] = ()
    lasting: bool = True
    leaver: bool = False


def judge(
    row: CheckedRow, user: User | None, settings: ImportSettings, past: str, *, said_left: bool = False
) -> Judgement:
    """Decide what to do with `row`, the row that counts for its identifier. `user` has that identifier, if any.

    Last days before `past` are over. `said_left`: as `says_left` returns it. If the decision differs from it, it does
    not last: a row that is known by its text was not asked.
    """
    found = leaving(row, user, settings, past)
    if row.key is None:
        problems = not_needed(row, settings) if found.leaver else tuple(row.problems)
        return Judgement(Fate.REJECT, problems=problems, leaver=found.leaver)
    if found.leaver and not row.deactivate:
        as_leaver(row)
    row.problems += found.problems
    judgement = _judge_leaver(row, user) if found.leaver else _judge_other(row, user, settings)
    judgement.lasting, judgement.leaver = found.lasting and found.leaver is said_left, found.leaver
    return judgement


def _judge_other(row: CheckedRow, user: User | None, settings: ImportSettings) -> Judgement:
    if row.problems and any(problem.severity is Severity.ERROR for problem in row.problems):
        return Judgement(Fate.REJECT, problems=tuple(row.problems))
    if user is None:
        return Judgement(Fate.CREATE, "active", tuple(row.problems))
    if user["state"] == "deactivated" and not settings.reactivate_returning:
        # The messages about its cells would say that the cells were applied.
        return Judgement(Fate.LEAVE, "deactivated", (_not_reactivated(row),))
    return Judgement(Fate.WRITE, "active", tuple(row.problems))


def _judge_leaver(row: CheckedRow, user: User | None) -> Judgement:
    if user is None:
        return Judgement(Fate.IGNORE, problems=(_unknown_leaver(row),))
    if user["protected"] and user["state"] == "active":
        return Judgement(Fate.WRITE, "active", (*row.problems, protected_user(row.line, row.identifier)))
    return Judgement(Fate.WRITE, "deactivated", tuple(row.problems))


def _not_reactivated(row: CheckedRow) -> Problem:
    message = "The user stays deactivated and unchanged: reactivate_returning is off. Remove the row or turn it on."
    return Problem(Severity.WARNING, "not_reactivated", message, row.line, None, shown(row.identifier or ""))


def _unknown_leaver(row: CheckedRow) -> Problem:
    column = row.left_by[0] if row.left_by else "leave_date"
    message = "No such user; nothing was deactivated. Check the spelling."
    return Problem(Severity.NOTICE, "deactivate_unknown", message, row.line, column, shown(row.identifier or ""))


def said_of_rejected(row: CheckedRow, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return those of `problems` that are still true now that `row` is rejected.

    If a cell of the row is wrong, all are: the rules have worded them for a rejected row. If not, only the errors
    are: the others say that cells were applied. A message that counts the cells of a column is never one of them.
    """
    has_wrong_cell = any(problem.severity is Severity.ERROR for problem in row.problems)
    single = [problem for problem in problems if not isinstance(problem, Counted)]
    return tuple(problem for problem in single if has_wrong_cell or problem.severity is Severity.ERROR)


def protected_user(line: int | None, identifier: str | None) -> Problem:
    message = "This user is protected and was not deactivated. The operator can end the protection."
    return Problem(Severity.WARNING, "protected_user", message, line, None, shown(identifier or ""))


def footer_missing(line: int, left_out: int) -> FileError:
    lines = "last line" if left_out == 1 else f"last {left_out} lines"
    return FileError(
        "footer_missing",
        f"Line {line} is the row of a user, but skip_last_lines leaves out the {lines} of every file. The lines that "
        "close the list are missing, so its end may be missing too. Send the complete file, or change that setting "
        "if your system no longer writes such lines.",
        line=line,
    )


def may_be_any_user(row: CheckedRow, key: str | None) -> bool:
    """Return whether the rejected `row` may be about any user: then no user counts as absent.

    `key` is its identifier. A row that is not about a user, such as a total, does not hide one.
    """
    return key is None and not row.not_a_user


def unfinished_last_row(row: CheckedRow) -> Problem:
    message = (
        "The last row has no line end. It may be cut off, so it was not applied. "
        "Export the file again, or end its last line with a line end."
    )
    return Problem(Severity.ERROR, "unfinished_last_row", message, row.line, None, shown(row.identifier or ""))


@dataclass(frozen=True, slots=True)
class NameIds:
    """Ids by name as spelled in the file, of at least the teams and locations that a batch names."""

    teams: Mapping[str, int]
    locations: Mapping[str, int]


def columns_of(row: CheckedRow, user: User | None, ids: NameIds, own: Collection[str]) -> Columns:
    """Return the columns that `row` sets, without links. `user` is None for a new one; `own` are custom fields."""
    # Values of fields, until each has become a column.
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
    """Replace the names of teams by ids."""
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
    """Return both team columns. Without a primary team the first secondary one is it; no team is in both."""
    if primary is None and secondary:
        primary = secondary[0]
    others = [team for team in secondary if team != primary]
    return primary, join_ids(others) if len(others) > 1 else "".join(map(str, others))


def custom_column(values: Mapping[str, FieldValue], before: str = "{}") -> str:
    """Return the column `custom` with `values` added; a blank value removes its field. Equal values, equal text."""
    text = custom_json({**json.loads(before), **values})
    return before if before != "{}" and text == custom_json(json.loads(before)) else text


def custom_json(values: Mapping[str, object]) -> str:
    """Return values of custom fields as the column `custom` holds them: without blank ones, sorted by key."""
    return json.dumps({key: values[key] for key in sorted(values) if values[key] is not None}, ensure_ascii=False)


def custom_changes(before: str, after: str) -> dict[str, tuple[str | None, str | None]]:
    """Return the differences between two texts of the column `custom`, as the history stores them.

    By field name, `custom.KEY`: the JSON of the old and the new value; None for a blank one.
    """
    old, new = ({key: json.dumps(value) for key, value in json.loads(text).items()} for text in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {f"{CUSTOM}{key}": (old.get(key), new.get(key)) for key in keys}


def differences(user: User, columns: Mapping[str, Value]) -> Columns:
    """Return those of `columns` whose value differs from the user's."""
    before: Mapping[str, object] = user
    return {name: value for name, value in columns.items() if before[name] != value}


# The guard.


@dataclass(frozen=True, slots=True)
class Completeness:
    """The facts that tell whether the file may be incomplete."""

    ends_with_newline: bool
    written: Written | None
    rows: int
    last: LastApplied | None
    last_user_absent: bool


def reasons_of_truncation(facts: Completeness, settings: ImportSettings) -> list[str]:
    """Return why the file may be incomplete, as clauses; may be empty."""
    if not settings.detect_truncation:
        return []
    found = []
    if settings.require_final_newline and not facts.ends_with_newline:
        found.append("its last line has no line end")
    if facts.written and facts.written.ends_full:
        found.append("the upload ended with a full block, like an interrupted upload")
    if facts.written and facts.written.foreign:
        found.append("it holds bytes from before this upload, like a resumed or appended file")
    if facts.last_user_absent:
        found.append("the last active user of the previous applied file is not in it")
    if facts.last and _passes(facts.last.rows - facts.rows, facts.last.rows, settings.max_row_drop_percent):
        found.append(
            f"it has {counted(facts.rows, 'row', 'rows')}, and the previous applied file had {facts.last.rows:,} "
            f"(more than {settings.max_row_drop_percent:g}% fewer)"
        )
    return found


def guard_reasons(
    counts: Counts, active: int, users: int, truncated: bool, settings: ImportSettings, *, renamed: bool = False
) -> list[GuardReason]:
    """Return why an import with these counts is held; empty if it can be applied.

    `active` and `users` count the users before the import. `renamed`: many of the users that it deactivates may be
    users that it creates.
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
    return is_more_than_half(deactivated, active) or (over_limit and deactivated > settings.max_deactivations_min)


def _passes(number: int, active: int, percent: float | None) -> bool:
    return percent is not None and number * 100 > percent * active


def why_held(
    guard: Guard,
    counts: Counts,
    settings: ImportSettings,
    truncation: list[str],
    *,
    others: bool = False,
    renamed: str = "",
) -> list[str]:
    """Return why an import is held, as clauses: one fact each, each limit with its number.

    `others`: it would deactivate a user who is not on the approved list. `renamed` says which users it may create
    again, as a clause.
    """
    active = counted(guard.active, "active user", "active users")
    new = counted(counts.created + counts.reactivated, "user", "users")
    updated = counted(counts.updated, "user", "users")
    limits = [_limit(most, active) for most in (settings.max_creations_percent, settings.max_updates_percent)]
    clauses = {
        GuardReason.TOO_MANY_DEACTIVATIONS: [
            f"it would deactivate {counts.deactivated:,} of {active} ({guard.deactivation_rule})"
        ],
        GuardReason.TOO_MANY_CREATIONS: [f"it would create or reactivate {new} ({limits[0]})"],
        GuardReason.TOO_MANY_UPDATES: [f"it would update {updated} ({limits[1]})"],
        GuardReason.POSSIBLY_TRUNCATED: [
            "the file may be incomplete",
            *truncation,
            f"the import would deactivate {_not_in_file(counts.deactivated_absent)}",
        ],
        GuardReason.IDENTIFIERS_CHANGED: [renamed],
    }
    found = [clause for reason in guard.reasons for clause in clauses[reason]]
    return ["it would deactivate a user who is not on the approved list", *found] if others else found


def guard_message(why: Sequence[str], *, advice: str = "", dry_run: bool = False) -> str:
    """Return the message of an import that is held for the clauses `why`, for the person who decides.

    `advice` says what keeps users the same, in sentences.
    """
    told = " ".join([f"{why[0]}.", *map(as_sentence, why[1:]), *filter(None, [advice])])
    if dry_run:
        return f"Dry run: nothing was changed. Sent for real, the file would be held: {told}"
    return f"Held, nothing was changed: {told} Review the users, then approve or discard."


def _limit(percent: float | None, active: str) -> str:
    return "no limit" if percent is None else f"the limit is {percent:g}% of {active}"


def _not_in_file(users: int) -> str:
    return "1 user who is not in the file" if users == 1 else f"{users:,} users who are not in the file"
