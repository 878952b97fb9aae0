"""The report of an import, and the lines of its list of users to change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from importer.model import (
    MESSAGES_IN_REPORT,
    Counts,
    FileFacts,
    FileFactsJson,
    Guard,
    GuardJson,
    ImportState,
    Problem,
    ProblemJson,
)


class ReportJson(TypedDict):
    id: int
    tenant: str
    state: str
    dry_run: bool
    uploaded_at: str
    started_at: str | None
    finished_at: str | None
    file: FileFactsJson
    counts: dict[str, int]
    guard: GuardJson | None
    decided_by: str | None
    decided_at: str | None
    sent_by: str | None
    message: str | None
    advice: Mapping[str, Any] | None
    messages: list[ProblemJson]


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one import, as the CLI, the API and `/results` show it. Times are RFC 3339 in UTC.

    `sent_by` is the comment of the token that sent the file; None if it came over SFTP. `advice` is what
    `importer.advice.model.Advice.to_json` returns; None if the import has none.
    """

    id: int
    tenant: str
    state: ImportState
    dry_run: bool
    file: FileFacts
    uploaded_at: str
    started_at: str | None = None
    finished_at: str | None = None
    counts: Counts = field(default_factory=Counts)
    guard: Guard | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    sent_by: str | None = None
    message: str | None = None
    advice: Mapping[str, Any] | None = None
    messages: tuple[Problem, ...] = ()

    def to_json(self) -> ReportJson:
        return {
            "id": self.id,
            "tenant": self.tenant,
            "state": self.state.value,
            "dry_run": self.dry_run,
            "uploaded_at": self.uploaded_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "file": self.file.to_json(),
            "counts": self.counts.to_json(),
            "guard": self.guard.to_json() if self.guard else None,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at,
            "sent_by": self.sent_by,
            "message": self.message,
            "advice": self.advice,
            "messages": [problem.to_json() for problem in self.messages[:MESSAGES_IN_REPORT]],
        }


class TouchedJson(TypedDict):
    """One user that a held import or a dry run would change: a line of `<id>.touched.jsonl`."""

    action: str
    user_id: int | None  # None: the import would create the user
    identifier: str | None
    email: str | None
    name: str
    absent: bool
    line: NotRequired[int | None]  # the line of the user's row, None for an absent user; earlier versions had none
