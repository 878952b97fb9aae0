"""Requests of people for an import, as frozen records: approve it, undo it, test it, send it. Pure."""

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
    """The approval of a held import: for these reasons, and for the deactivation of no other users.

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
    """The request to undo an applied import."""

    by: str
    at: str

    def to_json(self) -> UndoJson:
        return {"by": self.by, "at": self.at}

    @classmethod
    def from_json(cls, data: UndoJson) -> Undo:
        return cls(data["by"], data["at"])


class DryRunRequestJson(TypedDict):
    by: str
    changes: dict[str, object]
    of: int | None


@dataclass(frozen=True, slots=True)
class DryRunRequest:
    """The request for a test: what an import would do with another file, or with other settings.

    `changes` are the settings to test, as JSON; `of` is the import whose file they are tested on, None for a file
    that was sent with the request.
    """

    by: str
    changes: Mapping[str, object] = field(default_factory=dict)
    of: int | None = None

    def to_json(self) -> DryRunRequestJson:
        return {"by": self.by, "changes": dict(self.changes), "of": self.of}

    @classmethod
    def from_json(cls, data: DryRunRequestJson) -> DryRunRequest:
        return cls(data["by"], data["changes"], data["of"])


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of a file by the page or the API. `by` is the comment of the token.

    `tested` is the dry run of the same file whose result the sender saw; None if there was none. `checksum` is the
    SHA-256 that the sender gave for the file and that the file has; None if none was given. `settings` is the
    fingerprint of the settings that the dry run used. `replaces`: the tested file is a complete list, and supersedes
    those that wait.
    """

    by: str
    tested: int | None = None
    checksum: str | None = None
    settings: str | None = None
    replaces: bool = False
