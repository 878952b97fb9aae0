"""Merge the edits of two owners of one form: find what one saved while the other was typing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from server.tenants.settings import TenantSettings, etag

LOOKED_BACK = 500
"""The number of changes that are searched for the settings that the form was shown with."""


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """The settings that a form was shown with (`seen`), and the changes since then, newest first."""

    seen: TenantSettings
    changes: tuple[Mapping[str, Any], ...]

    @property
    def settings(self) -> dict[str, Mapping[str, Any]]:
        """Return the newest change of each setting."""
        return {change["key"]: change for change in reversed(self.changes)}


def look_back(now: TenantSettings, history: Iterable[Mapping[str, Any]], expected: str) -> Meanwhile | None:
    """Go back from `now` through `history` (newest first) to the settings whose etag is `expected`. Pure.

    None if they are not found: the form is of another server, or older than the history.
    """
    values, changes = now.to_json(), list[Mapping[str, Any]]()
    if etag(now) == expected:
        return Meanwhile(now, ())
    for change in history:
        values[change["key"]] = change["old"]
        changes.append(change)
        before = _valid(values)  # one save makes several changes; halfway, the settings may be invalid
        if before is not None and etag(before) == expected:
            return Meanwhile(before, tuple(changes))
    return None


def _valid(values: Mapping[str, Any]) -> TenantSettings | None:
    try:
        return TenantSettings.model_validate(values)
    except ValidationError:
        return None
