"""Every message code with its sentences, as one text: tests/fixtures/messages.txt.

The real importer runs the small files of `every_file` into a real users.db. Messages of the queue and the server need
a server: `_without_a_file` calls the functions that make them there.

    python -m tests.support.every_message     # writes tests/fixtures/messages.txt anew
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from importer.model import FileFacts, ImportState
from importer.queue.checksum import differs, missing, unread, waiting
from importer.queue.entry import Entry
from importer.worker.attempt import INTERNAL_ERROR, NOT_READ, TENANT_BROKEN, no_space_yet
from importer.worker.recovery import GAVE_UP, INTERRUPTED
from server.files.near_names import describe_difference
from server.hooks.import_hook import _sentence
from tests.support import ROOT
from tests.support.every_file import FILES, UNDONE, File
from tests.support.importing import Company, passing_folder

LIST = ROOT / "tests" / "fixtures" / "messages.txt"
HEAD = """\
Every message code with its severity, line and column, and its sentences, sorted by code.
To write it again: python -m tests.support.every_message. The files are in tests/support/every_file.py.
"""


ALLOWED = {"deactivate_missing": False, "max_deactivations_percent": 100, "max_creations_percent": None}
"""Settings of the files before: none of them is held."""

IGNORED = (
    "/sync_users.csv.gz",
    "/sync_users.xlsx",
    "/data/sync_users.csv",
    "/Sync_Users.csv",
    "/sync_users_2026.csv",
)


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One sentence as it is listed. The message of a state has the state in parentheses as its code."""

    code: str
    severity: str
    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.code} ({self.severity}; {self.place})\n    {self.sentence}\n"


def _message(code: str, severity: str, line: int | None, column: str | None, sentence: str) -> Message:
    place = f"{'a line' if line else 'no line'}, {f'column {column}' if column else 'no column'}"
    return Message(code, severity, place, sentence)


def _of_state(state: ImportState, message: str) -> Message:
    return Message(f"({state.value})", "message of the import", "no line, no column", message)


def _kept(path: Path) -> Iterator[Message]:
    """Yield the first message of each code, severity and column in `path`."""
    seen = set()
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        message = json.loads(line)
        key = (message["code"], message["severity"], message["column"])
        if key not in seen:
            seen.add(key)
            yield _message(*(message[name] for name in ("code", "severity", "line", "column", "message")))


async def _imported(files: Sequence[File]) -> list[Message]:
    found: list[Message] = []
    for file in files:
        with passing_folder() as folder:
            company = Company(Path(folder))
            for before in file.before:
                await company.run(before.encode(), **{**file.settings, **ALLOWED})
            if file.sql:
                await company.sql(file.sql)
            content = file.content if isinstance(file.content, bytes) else file.content.encode()
            outcome = await company.run(content, dry_run=file.dry_run, **file.settings)
            found += _kept(company.messages / f"{company.imports}.jsonl")
            if outcome.guard:
                found.append(_of_state(outcome.state, outcome.message or ""))
    return found


async def _undone() -> list[Message]:
    found: list[Message] = []
    for undo in UNDONE:
        with passing_folder() as folder:
            company = Company(Path(folder))
            for content in undo.files:
                await company.run(content.encode(), **undo.settings)
            if undo.sql:
                await company.sql(undo.sql)
            outcome = await company.undo(**undo.settings)
            found += _kept(company.messages / f"{company.imports}.undo.jsonl")
            found.append(_of_state(outcome.state, outcome.message or ""))
    return found


def _without_a_file() -> Iterator[Message]:
    """Messages of the queue and the server, each made where it is made there."""
    file = FileFacts("sync_users.csv", 120, "a" * 64, 3)
    for outcome in (differs(file, "b" * 64), missing(file), unread(file)):
        yield from (
            _message(each.code, each.severity.value, each.line, each.column, each.message)
            for each in outcome.messages
        )
    yield _message("gave_up", "error", None, None, GAVE_UP)
    yield _message("internal_error", "error", None, None, INTERNAL_ERROR)
    for path in IGNORED:
        yield _of_state(ImportState.IGNORED, describe_difference(path, "/sync_users.csv", wide=True) or "")
    yield _of_state(ImportState.ABORTED, INTERRUPTED)
    for name in ("sync_users.csv", "sync_users.csv.sha256"):
        entry = Entry("acme", 1, ImportState.ARRIVING, False, 1, f"/{name}", replace(file, name=name), "")
        yield _of_state(ImportState.ABORTED, _sentence(entry, ImportState.ABORTED, "the connection was lost"))
    newer = Entry("acme", 2, ImportState.QUEUED, False, 2, "/sync_users.csv", file, "")
    for message in (NOT_READ, TENANT_BROKEN, no_space_yet("the disk is full"), waiting("2026-01-01T01:00:00Z")):
        yield _of_state(ImportState.QUEUED, message)
    superseded = newer.superseded(newer, datetime(2026, 1, 1, tzinfo=UTC))
    yield _of_state(ImportState.SUPERSEDED, superseded.message or "")


async def every_message() -> list[Message]:
    """Return each sentence once, by code."""
    return sorted({*await _imported(FILES), *await _undone(), *_without_a_file()})


def as_text(messages: Sequence[Message]) -> str:
    return "\n".join([HEAD, *map(str, messages)])


if __name__ == "__main__":
    LIST.write_text(as_text(asyncio.run(every_message())), encoding="utf-8")
