"""The records and enums of the importer: states, counts, messages and the outcome of an import. Pure values.

report.py has the report of an import, and requests.py the requests: approval, undo, dry run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NotRequired, TypedDict

INTEGER_MAX = 2**63 - 1
"""The largest integer that a database can hold: the maximum of every id and number of bytes."""

VALUE_SHOWN = 100
"""The most characters of a value from a file that a message shows."""

MESSAGES_IN_REPORT = 100
"""The most messages in a report. `<id>.jsonl` beside it has all that were kept."""


class Severity(StrEnum):
    ERROR = "error"  # the row was rejected
    WARNING = "warning"  # the row was applied, but perhaps not as intended
    NOTICE = "notice"  # information; nothing to do


class ImportState(StrEnum):
    ARRIVING = "arriving"  # only inside the server: it has an id, and its file is not yet published
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    UNCHANGED = "unchanged"
    HELD = "held"
    DISCARDED = "discarded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    UNDONE = "undone"
    ABORTED = "aborted"
    IGNORED = "ignored"

    @property
    def words(self) -> str:
        """The state as words in a sentence: `completed with errors`."""
        return self.value.replace("_", " ")


APPLIED = frozenset({ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS, ImportState.UNCHANGED})
"""States of an import that was applied."""

WAITING = frozenset({ImportState.ARRIVING, ImportState.QUEUED, ImportState.RUNNING})
"""States of an import that has not ended. `HELD` is an end, until it is approved or discarded."""

NEVER_RAN = frozenset({ImportState.ABORTED, ImportState.IGNORED})
"""States of an upload that was never imported."""


class GuardReason(StrEnum):
    TOO_MANY_DEACTIVATIONS = "too_many_deactivations"
    TOO_MANY_CREATIONS = "too_many_creations"
    TOO_MANY_UPDATES = "too_many_updates"
    POSSIBLY_TRUNCATED = "possibly_truncated"
    IDENTIFIERS_CHANGED = "identifiers_changed"


class ProblemJson(TypedDict):
    severity: str
    code: str
    line: int | None
    column: str | None
    value: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One message about a file: what is wrong, where, and what to do. `value` is as `shown` returns it."""

    severity: Severity
    code: str
    message: str
    line: int | None = None
    column: str | None = None
    value: str | None = None

    def to_json(self) -> ProblemJson:
        return {
            "severity": self.severity.value,
            "code": self.code,
            "line": self.line,
            "column": self.column,
            "value": self.value,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, data: ProblemJson) -> Problem:
        return cls(
            Severity(data["severity"]), data["code"], data["message"], data["line"], data["column"], data["value"]
        )


def shown(value: str) -> str:
    """Return `value`, cut to `VALUE_SHOWN` characters."""
    return value if len(value) <= VALUE_SHOWN else value[: VALUE_SHOWN - 1] + "…"


class WrittenJson(TypedDict):
    writes: int
    longest: int
    last: int
    foreign: bool


@dataclass(frozen=True, slots=True)
class Written:
    """How the SFTP handle that published a file wrote it. Shows whether the file may be incomplete.

    `writes` counts WRITE requests. `longest` is the longest of them and `last` the one at the end of the file, in
    bytes. `foreign` is true if the file has bytes that this handle did not write.
    """

    writes: int
    longest: int
    last: int
    foreign: bool

    @property
    def ends_full(self) -> bool:
        """Whether the last of two or more writes is as long as the longest. A complete file mostly ends shorter."""
        return self.writes >= 2 and self.last >= self.longest

    def to_json(self) -> WrittenJson:
        return {"writes": self.writes, "longest": self.longest, "last": self.last, "foreign": self.foreign}

    @classmethod
    def from_json(cls, data: WrittenJson | None) -> Written | None:
        """Return None for None: how the file was written is unknown, which does not make it suspect."""
        if not data:
            return None
        return cls(int(data["writes"]), int(data["longest"]), int(data["last"]), bool(data["foreign"]))


CHANGED = ("created", "updated", "reactivated", "deactivated")
"""The counts of users whose record an import writes."""


@dataclass(slots=True)
class Counts:
    """The counts of an import or a dry run. A user counts once: deactivated before reactivated before updated."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    reactivated: int = 0
    deactivated: int = 0
    deactivated_absent: int = 0
    rejected: int = 0
    ignored: int = 0
    warnings: int = 0
    teams_created: int = 0
    locations_created: int = 0
    invitations: int = 0

    @property
    def rows(self) -> int:
        """The number of rows in the file: the sum of the counts of rows."""
        in_file = self.deactivated - self.deactivated_absent
        return (
            self.created + self.updated + self.unchanged + self.reactivated + in_file + self.rejected + self.ignored
        )

    @property
    def changed(self) -> int:
        """The number of users whose record the import writes."""
        return sum(getattr(self, name) for name in CHANGED)

    def to_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, int]) -> Counts:
        return cls(**data)


class GuardJson(TypedDict):
    reasons: list[str]
    limit_percent: float
    active: int
    would_deactivate: int


def is_more_than_half(deactivated: int, active: int) -> bool:
    """Return whether these are more than half of the active users, and at least two."""
    return deactivated >= 2 and deactivated * 2 > active


@dataclass(frozen=True, slots=True)
class Guard:
    """Why an import is held. `active` counts the users that were active before it."""

    reasons: tuple[GuardReason, ...]
    limit_percent: float
    active: int
    would_deactivate: int

    @property
    def deactivation_rule(self) -> str:
        """The rule on deactivations that holds the import, as a clause: more than half, or the limit in percent.

        Empty if neither is exceeded: an approved import may be held again only for users who are not on its list.
        """
        if self.limit_percent >= 100:
            return ""
        if is_more_than_half(self.would_deactivate, self.active):
            return "more than half"
        if self.would_deactivate * 100 > self.limit_percent * self.active:
            return f"the limit is {self.limit_percent:g}%"
        return ""

    def to_json(self) -> GuardJson:
        return {
            "reasons": [reason.value for reason in self.reasons],
            "limit_percent": self.limit_percent,
            "active": self.active,
            "would_deactivate": self.would_deactivate,
        }

    @classmethod
    def from_json(cls, data: GuardJson) -> Guard:
        reasons = tuple(GuardReason(reason) for reason in data["reasons"])
        return cls(reasons, data["limit_percent"], data["active"], data["would_deactivate"])


class FileFactsJson(TypedDict):
    name: str
    size: int
    sha256: str | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class FileFacts:
    name: str
    size: int
    sha256: str | None = None
    rows: int | None = None

    def to_json(self) -> FileFactsJson:
        return {"name": self.name, "size": self.size, "sha256": self.sha256, "rows": self.rows}

    @classmethod
    def from_json(cls, data: FileFactsJson) -> FileFacts:
        return cls(data["name"], data["size"], data["sha256"], data["rows"])


class OutcomeJson(TypedDict):
    state: str
    counts: dict[str, int]
    file: FileFactsJson
    messages: list[ProblemJson]
    message: str | None
    guard: GuardJson | None
    active: NotRequired[int | None]  # outcomes of older servers lack these
    why: NotRequired[list[str]]
    settings: NotRequired[str | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one import, dry run or undo.

    `active` counts the users that are active after it. If nothing was applied, that is the number `counts` would lead
    to. None: it failed, or an older server wrote it. `unread` counts the active users that have left according to a
    column that no setting reads; it is not part of the JSON. `why` are the facts of `message` of a held import, one a
    sentence. `settings` is, of a test, the fingerprint of the settings that it used.
    """

    state: ImportState
    counts: Counts
    file: FileFacts
    messages: tuple[Problem, ...] = ()
    message: str | None = None
    guard: Guard | None = None
    active: int | None = None
    unread: int = 0
    why: tuple[str, ...] = ()
    settings: str | None = None

    def to_json(self) -> OutcomeJson:
        return {
            "state": self.state.value,
            "counts": self.counts.to_json(),
            "file": self.file.to_json(),
            "messages": [problem.to_json() for problem in self.messages],
            "message": self.message,
            "guard": self.guard.to_json() if self.guard else None,
            "active": self.active,
            "why": [*self.why],
            "settings": self.settings,
        }

    @classmethod
    def from_json(cls, data: OutcomeJson) -> Outcome:
        return cls(
            ImportState(data["state"]),
            Counts.from_json(data["counts"]),
            FileFacts.from_json(data["file"]),
            tuple(Problem.from_json(problem) for problem in data["messages"]),
            data["message"],
            Guard.from_json(data["guard"]) if data["guard"] else None,
            data.get("active"),
            why=tuple(data.get("why", ())),
            settings=data.get("settings"),
        )
