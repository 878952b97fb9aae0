"""What there is to show of one import, read from its row, its files and the history, a page of each at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from importer.advice.kept import kept_advice
from importer.folder import TenantFolder
from importer.model import APPLIED, INTEGER_MAX, Counts, ImportState, Problem, Severity
from importer.queue.entry import Entry
from importer.rules.identity import identity_of
from importer.said.grouping import Group, each_alone, grouped
from importer.said.spool import MESSAGES_KEPT, counted_in, grouped_in, said_in, touched_in
from importer.users.users import Users
from server.tenants.settings import TenantSettings
from server.web.pages.words import labels_of

SAID_SHOWN = 25
TOUCHED_SHOWN = 25
CHANGES_SHOWN = 50

After = Annotated[int, Field(ge=0, le=INTEGER_MAX)]

ACTIONS = ("deactivated", "created", "reactivated", "updated")
"""What would be done to somebody, the gravest first."""

COUNTED = {
    "created": "Joined",
    "reactivated": "Came back",
    "updated": "Changed",
    "deactivated": "Left",
    "unchanged": "As they were",
    "rejected": "Rejected rows",
    "ignored": "Ignored rows",
    "warnings": "Warnings",
    "teams_created": "New teams",
    "locations_created": "New locations",
    "invitations": "Invitations",
}
ALWAYS = frozenset({"created", "updated", "deactivated", "unchanged", "rejected"})
"""Counts that are shown also when they are 0."""


RELATED = {
    "wrong_encoding": "encoding",
    "perhaps_utf_8": "encoding",
    "wrong_delimiter": "delimiter",
    "missing_column": "field_mapping",
    "unknown_column": "field_mapping",
    "bad_date": "date_format",
    "unknown_role": "value_mapping",
    "unknown_language": "value_mapping",
    "unknown_time_zone": "value_mapping",
    "unknown_choice": "value_mapping",
    "bad_boolean": "value_mapping",
    "bad_deactivate": "value_mapping",
    "placeholder": "value_mapping",
    "html_entities": "value_mapping",
    "not_reactivated": "reactivate_returning",
    "checksum_missing": "require_checksum",
}
"""The setting that says how to read what a message of this code did not expect."""


class Asked(BaseModel):
    """What somebody has turned to. Cursors are where the page before ended."""

    severity: str = ""
    code: str = ""
    said: After = 0
    who: str = ""
    touched: After = 0
    changes: After = 0
    left: After = 0

    def turn(self, **to: object) -> str:
        """The query of the address at which the page has turned `to` this."""
        return "?" + urlencode({name: value for name, value in {**dict(self), **to}.items() if value})


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what took, in seconds; None where it did not happen (yet)."""

    waited_s: float | None
    ran_s: float | None
    rows_a_second: int | None


@dataclass(frozen=True, slots=True)
class Changed:
    """What one person's fields went through, one after the other."""

    name: str | None
    identifier: str | None
    undo: bool
    fields: Sequence[Mapping[str, Any]]


async def parts_of(
    entry: Entry, folder: TenantFolder, users: Users, settings: TenantSettings, asked: Asked
) -> dict[str, Any]:
    """Everything but the row itself, by the names that the template has for it."""
    counts = entry.outcome.counts if entry.outcome else Counts()
    files = await asyncio.to_thread(_read, entry, folder, asked)
    return {
        "asked": asked,
        "counts": counts,
        "figures": _figures(counts),
        "timing": timing_of(entry),
        "labels": labels_of(settings.custom_fields),
        **files,
        **await _changes(entry, users, settings, asked),
    }


def _figures(counts: Counts) -> list[tuple[str, int]]:
    return [
        (label, getattr(counts, name)) for name, label in COUNTED.items() if name in ALWAYS or getattr(counts, name)
    ]


def timing_of(entry: Entry) -> Timing:
    """Pure."""
    waited = _between(entry.uploaded_at, entry.started_at)
    ran = _between(entry.started_at, entry.finished_at)
    rows = round(entry.file.rows / ran) if entry.file.rows and ran else None
    return Timing(waited, ran, rows)


def _between(begin: str | None, end: str | None) -> float | None:
    if begin is None or end is None:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def _read(entry: Entry, folder: TenantFolder, asked: Asked) -> dict[str, Any]:
    """What is in files; blocks."""
    said = folder.said(entry.id)
    if said.exists() or not entry.outcome or entry.state is ImportState.UNDONE:
        messages, said_next = _said(said, asked)
        said_counts = counted_in(said)
    else:  # forgotten; the first of them are in the report (of an undo, those of the undo)
        those = _those(entry.outcome.messages, asked)
        messages, said_next = each_alone(those) if asked.code else grouped(those), None
        said_counts = Counter((each.severity.value, each.code) for each in entry.outcome.messages)
    left, left_next = said_in(folder.left(entry.id), after=asked.left, limit=SAID_SHOWN)
    return {
        "messages": messages,
        "said_next": said_next,
        "said_counts": _by_severity(said_counts),
        "said_most": MESSAGES_KEPT if said_counts.total() >= MESSAGES_KEPT else None,
        "related": related_settings(code for _, code in said_counts),
        **_advised(folder, entry.id),
        "left": left,
        "left_next": left_next,
        "has_errors": folder.errors(entry.id).exists(),
        "has_file": folder.copy(entry.id).exists(),
        **_touched(entry, folder, asked),
    }


def _advised(folder: TenantFolder, import_id: int) -> dict[str, Any]:
    """The advice on the file, and what it would come to in numbers."""
    advice = kept_advice(folder, import_id)
    counts = Counts.from_json(dict(advice.counts)) if advice and advice.counts else None
    return {"advice": advice, "advice_figures": _figures(counts) if counts else []}


def _said(path: Path, asked: Asked) -> tuple[list[Group], int | None]:
    """A page of the messages in `path`, and where the next begins: those of one code each by itself, all by kind."""
    if asked.code:
        found, following = said_in(
            path, severity=asked.severity or None, code=asked.code, after=asked.said, limit=SAID_SHOWN
        )
        return each_alone(found), following
    groups = grouped_in(path, severity=asked.severity or None)
    end = asked.said + SAID_SHOWN
    return groups[asked.said : end], end if len(groups) > end else None


def related_settings(codes: Iterable[str]) -> list[str]:
    """The settings that have to do with messages of these codes, each once. Pure."""
    found = set(codes)
    return list(dict.fromkeys(setting for code, setting in RELATED.items() if code in found))


def _by_severity(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """For each severity there is, gravest first, how often each code was said, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    found = {severity.value: {code: n for (of, code), n in ordered if of == severity} for severity in Severity}
    return {severity: codes for severity, codes in found.items() if codes}


def _touched(entry: Entry, folder: TenantFolder, asked: Asked) -> dict[str, Any]:
    """Whom a held import or a dry run would touch: by default those who would lose access."""
    counts = entry.outcome.counts if entry.outcome else Counts()
    actions = {action: getattr(counts, action) for action in ACTIONS if getattr(counts, action)}
    who = asked.who if asked.who in actions else next(iter(actions), "")
    touched, following = touched_in(folder.touched(entry.id), action=who, after=asked.touched, limit=TOUCHED_SHOWN)
    return {"actions": actions, "who": who, "touched": touched, "touched_next": following}


async def _changes(entry: Entry, users: Users, settings: TenantSettings, asked: Asked) -> dict[str, Any]:
    had_effect = entry.undo is not None or entry.state in APPLIED | {ImportState.UNDONE}
    if entry.dry_run or not had_effect:
        return {"changed": [], "changes_next": None}
    async with users.history(identity_of(settings)) as history:
        changes, following = await history.page_of_import(entry.id, asked.changes, CHANGES_SHOWN)
    return {"changed": _by_person(changes), "changes_next": following}


def _by_person(changes: Iterable[Mapping[str, Any]]) -> list[Changed]:
    grouped = groupby(changes, key=lambda each: (each["name"], each["identifier"], each["undo"]))
    return [Changed(*person, fields=[*fields]) for person, fields in grouped]


def _those(messages: Iterable[Problem], asked: Asked) -> list[Mapping[str, Any]]:
    found = (dict(problem.to_json()) for problem in messages)
    return [each for each in found if asked.severity in ("", each["severity"]) and asked.code in ("", each["code"])]
