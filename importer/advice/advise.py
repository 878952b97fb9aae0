"""Advice on one file: propose settings, test them on a copy of the users, and put the result into words.

Settings are suggested only if a dry run with them has no worse result. If the file is too long for these dry runs, a
sentence says so.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from importer.advice.columns import columns_of_file
from importer.advice.headers import seen
from importer.advice.judging import result_of
from importer.advice.leavers import NAMED
from importer.advice.model import Advice, ColumnAdvice, Open, Part, changes_of
from importer.advice.proposal import Proposal, propose
from importer.advice.sample import END_BYTES, SAMPLE_BYTES
from importer.advice.testing import Bench, OutOfTests, Tested, best_of
from importer.errors import DatabaseUnusable, Stopped, TryAgain
from importer.model import ImportState, Outcome, Severity, Written
from importer.reconcile.leaving import past_before
from importer.rules.settings import ImportSettings
from importer.users.users import Look, Users

GARBLED = frozenset(
    {"perhaps_utf_8", "placeholder", "html_entities", "unread_leavers", "unknown_column", "unknown_link"}
    | {"malformed_link"}
)
"""Codes of messages about cells or columns that were misread or not read."""

NOT_FOR = frozenset({"internal_error", "gave_up", "checksum_differs", "checksum_missing", "checksum_unread"})
"""Codes of failures that have nothing to do with the content of the file."""

TOO_LONG = (
    "No settings are suggested: this file is too long to test them one by one. Test a part of the file to get "
    "suggestions."
)
TO_COMPLETE = (
    "Complete these words first. The settings file lists them in comments, with ? for each meaning that is not known."
)
NO_HELP = "These settings were tested and do not help by themselves."
WORSE_FOR_LEAVERS = (
    "No settings are suggested for this file: with them, users who have left would be active, because the column "
    "that says so cannot be read."
)

InToml = Callable[[str, ImportSettings, Open], str]
"""Writes all settings of a tenant as a file, with the words to complete as comments."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question for advice: the copy of a file, and the outcome of its import under `settings`.

    `users` are the users of the tenant; `copy` is a copy of them, if there is one already. `switched`, `written` and
    `proven_complete`: see `Bench`. `stopping` returns whether to give up; it runs in any thread and may wait for more
    urgent work.
    """

    tenant: str
    file: Path
    users: Users
    settings: ImportSettings
    outcome: Outcome
    now: datetime
    copy: Users | None = None
    switched: bool = False
    written: Written | None = None
    proven_complete: bool = False
    stopping: Callable[[], bool] = lambda: False


def deserves_advice(outcome: Outcome) -> bool:
    """Return whether the import rejected, ignored or misread something, or failed because of the file's content."""
    codes = {problem.code for problem in outcome.messages}
    if outcome.state is ImportState.FAILED:
        return bool(codes) and not codes & NOT_FOR
    counts = outcome.counts
    return bool(counts.rejected or counts.ignored or outcome.unread or codes & GARBLED)


def about(outcome: Outcome) -> str:
    """Return the codes of an import's errors and warnings, as one text.

    The advice stays the same as long as this, the header and the settings do.
    """
    return " ".join(sorted({problem.code for problem in outcome.messages if problem.severity is not Severity.NOTICE}))


async def advise(question: Question, scratch: Path, in_toml: InToml | None = None) -> Advice | None:
    """Return advice on a file; None if there is nothing to say. `scratch` is a folder to work in, created if missing.

    Raises OSError, TryAgain, DatabaseUnusable, Stopped.
    """
    scratch.mkdir(mode=0o700, exist_ok=True)
    proposal = await asyncio.to_thread(_propose, question)
    tried, too_long = None, False
    if proposal.parts:
        try:
            tried = await _tested(proposal, question, scratch)
        except OutOfTests:
            too_long = True
    return _advice(proposal, tried, question, in_toml, too_long=too_long)


@dataclass(frozen=True, slots=True)
class Advised:
    """Advice, or None if there is nothing to say. `left_out`: the disk, a database or a stop prevented it."""

    advice: Advice | None = None
    left_out: bool = False


async def advise_if_possible(question: Question, scratch: Path, in_toml: InToml | None = None) -> Advised:
    """Return the same, also if it fails: then without advice."""
    try:
        return Advised(await advise(question, scratch, in_toml))
    except (OSError, TryAgain, DatabaseUnusable, Stopped):
        return Advised(left_out=True)


def look_at(users: Users, settings: ImportSettings) -> Look:
    """Return whether there are users, and which custom text fields may be their identifier; blocks."""
    return users.look(each.key for each in settings.custom_fields if each.type == "text")


def _propose(question: Question) -> Proposal:
    with question.file.open("rb") as opened:
        content = opened.read(SAMPLE_BYTES)
        size = os.fstat(opened.fileno()).st_size
        opened.seek(max(0, size - END_BYTES) // 4 * 4)
        end = opened.read()
    users = look_at(question.users, question.settings)
    return propose(
        content,
        question.settings,
        whole=size <= SAMPLE_BYTES,
        end=end,
        has_users=users.are,
        numbered=users.numbered,
        past=past_before(question.now),
    )


async def _tested(proposal: Proposal, question: Question, scratch: Path) -> Tested:
    users = question.copy
    if users is None:
        users = await asyncio.to_thread(question.users.copy, scratch, question.stopping)
    bench = Bench(
        *(question.tenant, question.file, users, scratch / "said", question.now, question.stopping),
        switched=question.switched,
        written=question.written,
        proven_complete=question.proven_complete,
    )
    return await best_of(bench, proposal.parts, question.settings, result_of(question.outcome))


def _advice(
    proposal: Proposal, tried: Tested | None, question: Question, in_toml: InToml | None, *, too_long: bool
) -> Advice | None:
    """Put the proposal and the result of its dry runs into words; None if there is nothing to say."""
    settings = question.settings
    kept = tried.parts if tried and tried.result else ()
    changes = changes_of(kept, settings)
    after = settings.with_changes(changes)
    notes = {at: note for at, note in proposal.notes if at is not None}
    sentences = [part.said for part in kept]
    if too_long:
        sentences += [_unread(part, proposal) for part in proposal.parts if part.leavers]
        sentences.append(TOO_LONG)
    elif tried and not tried.result:
        sentences += [part.said for part in proposal.parts]
        sentences.append(WORSE_FOR_LEAVERS if tried.leavers_active else _why_not(proposal))
    elif tried:
        for part in tried.dropped:
            sentence = f"{part.sentence.removesuffix('.')}, but this makes the result worse, so it is left out."
            sentences.append(_unread(part, proposal) if part.leavers else sentence)
            if part.column is not None:
                notes.setdefault(part.column, sentence)
    sentences += [note for _, note in proposal.notes]
    open_ = _open(proposal, kept, tried.dropped if tried else ())
    columns = columns_of_file(proposal.header, after, kept, notes)
    if not (changes or sentences or proposal.gaps or open_ or _are_worth_showing(columns, question.outcome)):
        return None
    toml = in_toml(question.tenant, after, open_) if in_toml and (changes or open_) else None
    result = tried.result if tried else None
    return Advice(
        columns=columns,
        settings=changes,
        toml=toml,
        state=result.state.value if result and changes else None,
        counts=result.counts.to_json() if result and changes else None,
        sentences=tuple(sentences),
        gaps=tuple(proposal.gaps),
    )


def _unread(part: Part, proposal: Proposal) -> str:
    """Return a sentence about a column that tells who has left, and that the suggested settings do not read."""
    assert part.column is not None
    name = seen(proposal.header[part.column])
    said = f"“{name}” tells who has left, but the suggested settings do not read it: these users are active."
    words = [word for table in part.open.values() for word in table]
    if not words:
        return f"{said} Test this column alone, or ask what its values mean."
    named = ", ".join(f"“{seen(word)}”" if word else "a blank cell" for word in words[:NAMED])
    more = " and others" * (len(words) > NAMED)
    return f"{said} To read it, add the meaning of these values to value_mapping: {named}{more}."


def _why_not(proposal: Proposal) -> str:
    return TO_COMPLETE if any(part.open for part in proposal.parts) else NO_HELP


def _are_worth_showing(columns: tuple[ColumnAdvice, ...], outcome: Outcome) -> bool:
    """Return whether a column is uncertain, or is not used by an import that failed or rejected rows."""
    went_wrong = outcome.state is ImportState.FAILED or outcome.counts.rejected
    return any(not each.certain or (went_wrong and each.note.startswith("Not used")) for each in columns)


def _open(proposal: Proposal, kept: tuple[Part, ...], dropped: tuple[Part, ...]) -> dict[str, dict[str, str]]:
    """Return the words to complete: of columns that are read, and of columns that are not read because of them."""
    found: dict[str, dict[str, str]] = {table: dict(words) for table, words in proposal.open.items()}
    for part in kept:
        _add(found, part.open)
    for part in dropped:
        if part.open:
            _add(found, {"field_mapping": part.headers})
            _add(found, {f"value_mapping.{name}": words for name, words in part.words.items()})
            _add(found, part.open)
    return found


def _add(found: dict[str, dict[str, str]], more: Mapping[str, Mapping[str, Any]]) -> None:
    for table, words in more.items():
        found.setdefault(table, {}).update(words)
