"""What people ask of an import, as frozen records: approve it, undo it, try it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from importer.model import GuardReason


class ApprovalJson(TypedDict):
    by: str
    at: str
    reasons: list[str]
    users: list[int]


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody looked at a held import and said yes: to these reasons, and to no other user losing access.

    `users` are the ids of those who were on the list of deactivations.
    """

    by: str
    at: str
    reasons: tuple[GuardReason, ...]
    users: frozenset[int]

    def to_json(self) -> ApprovalJson:
        reasons = [reason.value for reason in self.reasons]
        return {"by": self.by, "at": self.at, "reasons": reasons, "users": sorted(self.users)}

    @classmethod
    def from_json(cls, data: ApprovalJson) -> Approval:
        reasons = tuple(GuardReason(reason) for reason in data["reasons"])
        return cls(data["by"], data["at"], reasons, frozenset(data["users"]))


class UndoJson(TypedDict):
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class Undo:
    """Somebody asked that an applied import be undone."""

    by: str
    at: str

    def to_json(self) -> UndoJson:
        return {"by": self.by, "at": self.at}

    @classmethod
    def from_json(cls, data: UndoJson) -> Undo:
        return cls(data["by"], data["at"])


class TrialJson(TypedDict):
    by: str
    changes: dict[str, object]
    of: int | None


@dataclass(frozen=True, slots=True)
class Trial:
    """Somebody wants to see what would happen: with a file of theirs, or with other settings.

    `changes` are the settings that are tried, as JSON; `of` is the import whose file they are tried on, None for a
    file that came with the trial.
    """

    by: str
    changes: Mapping[str, object] = field(default_factory=dict)
    of: int | None = None

    def to_json(self) -> TrialJson:
        return {"by": self.by, "changes": dict(self.changes), "of": self.of}

    @classmethod
    def from_json(cls, data: TrialJson) -> Trial:
        return cls(data["by"], data["changes"], data["of"])
