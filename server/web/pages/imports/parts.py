"""The parts of the page of one import, read from its row, its files and the history, one page of each."""

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

from pydantic import AfterValidator, BaseModel, Field

from importer.advice.kept import kept_advice
from importer.archive import Archive
from importer.folder import TenantFolder
from importer.messages.grouping import Group, each_alone, grouped
from importer.messages.oneperson import domain_changed
from importer.messages.spool import MESSAGES_KEPT, counted_in, groups_in, messages_in
from importer.messages.touched import ACTIONS, Wanted, all_touched, find_touched, with_another_domain
from importer.model import APPLIED, INTEGER_MAX, Counts, GuardReason, ImportState, Problem, Severity
from importer.queue.entry import Entry
from importer.rules.identity import identity_of
from importer.users.search import clean
from importer.users.users import Users
from server.tenants.settings import TenantSettings
from server.web.pages.words import labels_of

MESSAGES_SHOWN = 25
TOUCHED_SHOWN = 25
CHANGES_SHOWN = 50

After = Annotated[int, Field(ge=0, le=INTEGER_MAX)]

COMPARED_MOST = 100_000
"""With more users to deactivate, the page of a held import does not compare the domains of their addresses."""

ALL_ACTIONS = "all"
SORTS = {"name": "Name", "action": "Action"}
"""The orders of the users that an import would change; the first is the default."""

COUNTED = {
    "created": "Created",
    "reactivated": "Reactivated",
    "updated": "Updated",
    "deactivated": "Deactivated",
    "unchanged": "Unchanged",
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
"""The setting that may fix a message of this code."""


class Asked(BaseModel):
    """The filters and cursors in the address. A cursor is the end of the previous page.

    `touched` is the number of users before the page.
    """

    severity: str = ""
    code: str = ""
    messages: After = 0
    action: str = ""
    search: Annotated[str, AfterValidator(clean)] = ""
    sort: str = ""
    touched: After = 0
    changes: After = 0
    left: After = 0

    def turn(self, **to: object) -> str:
        """Return the query string of the same page with `to` changed."""
        return "?" + urlencode({name: value for name, value in {**dict(self), **to}.items() if value})

    def other(self, *names: str) -> dict[str, object]:
        """Return the parameters that a form with fields of these `names` must send as well."""
        return {name: value for name, value in dict(self).items() if value and name not in names}


@dataclass(frozen=True, slots=True)
class Timing:
    """Waiting and running time in seconds; None for what has not ended or did not happen."""

    waited_s: float | None
    ran_s: float | None
    rows_a_second: int | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The changes of one user's fields, in order."""

    name: str | None
    identifier: str | None
    undo: bool
    fields: Sequence[Mapping[str, Any]]


async def parts_of(
    entry: Entry, archive: Archive, folder: TenantFolder, users: Users, settings: TenantSettings, asked: Asked
) -> dict[str, Any]:
    """Return the facts of the template, by name, except the row of the import itself."""
    number = entry.id
    await archive.fetch(
        folder, folder.said(number), folder.left(number), folder.touched(number), folder.advice(number)
    )
    counts = entry.outcome.counts if entry.outcome else Counts()
    files = await asyncio.to_thread(_read, entry, folder, settings, asked)
    return {
        "asked": asked,
        "counts": counts,
        "figures": _figures(counts),
        "timing": timing_of(entry),
        "identifier": settings.identifier,
        "labels": labels_of(settings.custom_fields),
        **files,
        "has_errors": await archive.find(folder, folder.errors(number)) is not None,
        "has_file": await archive.find(folder, folder.copy(number)) is not None,
        **await _changes(entry, users, settings, asked),
    }


def _figures(counts: Counts) -> list[tuple[str, int]]:
    return [
        (label, getattr(counts, name)) for name, label in COUNTED.items() if name in ALWAYS or getattr(counts, name)
    ]


def timing_of(entry: Entry) -> Timing:
    """Return how long the import waited and ran, and its rows a second. Pure."""
    waited = _between(entry.uploaded_at, entry.started_at)
    ran = _between(entry.started_at, entry.finished_at)
    rows = round(entry.file.rows / ran) if entry.file.rows and ran else None
    return Timing(waited, ran, rows)


def _between(begin: str | None, end: str | None) -> float | None:
    if begin is None or end is None:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def _read(entry: Entry, folder: TenantFolder, settings: TenantSettings, asked: Asked) -> dict[str, Any]:
    """Read what is in files. Blocks."""
    spool = folder.said(entry.id)
    if spool.exists() or not entry.outcome or entry.state is ImportState.UNDONE:
        messages, messages_next = _messages(spool, asked)
        message_counts = counted_in(spool)
    else:  # deleted by retention; the report still has the first (after an undo, the messages of the undo)
        those = _matching(entry.outcome.messages, asked)
        messages, messages_next = each_alone(those) if asked.code else grouped(those), None
        message_counts = Counter((each.severity.value, each.code) for each in entry.outcome.messages)
    left, left_next = messages_in(folder.left(entry.id), after=asked.left, limit=MESSAGES_SHOWN)
    return {
        "messages": messages,
        "messages_next": messages_next,
        "message_counts": _by_severity(message_counts),
        "messages_most": MESSAGES_KEPT if message_counts.total() >= MESSAGES_KEPT else None,
        "related": related_settings(code for _, code in message_counts),
        **_advised(folder, entry.id),
        "left": left,
        "left_next": left_next,
        "has_list": folder.touched(entry.id).exists(),
        **_touched(entry, folder, settings, asked),
    }


def _advised(folder: TenantFolder, import_id: int) -> dict[str, Any]:
    """Read the advice on the file, and its expected counts."""
    advice = kept_advice(folder, import_id)
    counts = Counts.from_json(dict(advice.counts)) if advice and advice.counts else None
    return {"advice": advice, "advice_figures": _figures(counts) if counts else []}


def _messages(path: Path, asked: Asked) -> tuple[list[Group], int | None]:
    """Return a page of the messages in `path` and the next cursor: each message of one code, or all codes grouped."""
    if asked.code:
        found, following = messages_in(
            path, severity=asked.severity or None, code=asked.code, after=asked.messages, limit=MESSAGES_SHOWN
        )
        return each_alone(found), following
    groups = groups_in(path, severity=asked.severity or None)
    end = asked.messages + MESSAGES_SHOWN
    return groups[asked.messages : end], end if len(groups) > end else None


def related_settings(codes: Iterable[str]) -> list[str]:
    """Return the settings that may fix messages of these codes, each once. Pure."""
    found = set(codes)
    return list(dict.fromkeys(setting for code, setting in RELATED.items() if code in found))


def _by_severity(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Return the count of each code by severity: gravest severity first, then the most frequent code first."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    found = {severity.value: {code: n for (of, code), n in ordered if of == severity} for severity in Severity}
    return {severity: codes for severity, codes in found.items() if codes}


def _touched(entry: Entry, folder: TenantFolder, settings: TenantSettings, asked: Asked) -> dict[str, Any]:
    """Read the users that a held import or a dry run would change; by default those to deactivate."""
    path, counts = folder.touched(entry.id), entry.outcome.counts if entry.outcome else Counts()
    actions = {each: getattr(counts, each) for each in ACTIONS if getattr(counts, each)}
    known = asked.action if asked.action in {*actions, ALL_ACTIONS} else next(iter(actions), "")
    wanted = Wanted(asked.search, "" if known == ALL_ACTIONS else known, by_action=asked.sort == "action")
    return {
        "actions": actions,
        "action": known,
        "sorts": SORTS,
        "touched": find_touched(path, wanted, before=asked.touched, limit=TOUCHED_SHOWN),
        **_why(entry, path, settings),
    }


def _why(entry: Entry, path: Path, settings: TenantSettings) -> dict[str, Any]:
    """Return why the import is held, one fact a sentence, and whether its users may only have another identifier."""
    if entry.state is not ImportState.HELD or not entry.outcome:
        return {"why": [], "same_users": False}
    why, guard = entry.outcome.why or (entry.message or "",), entry.outcome.guard
    codes = {*(guard.reasons if guard else ()), *(each.code for each in entry.outcome.messages)}
    if GuardReason.IDENTIFIERS_CHANGED in codes:
        return {"why": why, "same_users": True}
    moved = domain_changed(_with_another_domain(path, entry.outcome.counts.deactivated, settings), settings)
    return {"why": [*why, *moved], "same_users": bool(moved)}


def _with_another_domain(path: Path, leaving: int, settings: TenantSettings) -> list[tuple[str, str]]:
    """Return users to deactivate, each with a new one whose address differs only in the domain, if they are most.

    Only for addresses as identifiers: another identifier keeps users with a new address.
    """
    if settings.identifier != "email" or not 0 < leaving <= COMPARED_MOST:
        return []
    found = with_another_domain(all_touched(path))
    return found if len(found) * 2 > leaving else []


async def _changes(entry: Entry, users: Users, settings: TenantSettings, asked: Asked) -> dict[str, Any]:
    had_effect = entry.undo is not None or entry.state in APPLIED | {ImportState.UNDONE}
    if entry.dry_run or not had_effect:
        return {"changed": [], "changes_next": None}
    async with users.history(identity_of(settings)) as history:
        changes, following = await history.page_of_import(entry.id, asked.changes, CHANGES_SHOWN)
    return {"changed": _by_user(changes), "changes_next": following}


def _by_user(changes: Iterable[Mapping[str, Any]]) -> list[Changed]:
    grouped = groupby(changes, key=lambda each: (each["name"], each["identifier"], each["undo"]))
    return [Changed(*user, fields=[*fields]) for user, fields in grouped]


def _matching(messages: Iterable[Problem], asked: Asked) -> list[Mapping[str, Any]]:
    found = (dict(problem.to_json()) for problem in messages)
    return [each for each in found if asked.severity in ("", each["severity"]) and asked.code in ("", each["code"])]
