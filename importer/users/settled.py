"""The stored settings of a tenant: only those that differ from their defaults, each as JSON text. Pure.

Their names and meanings are defined where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from importer.rules.identity import Identity

Texts = Mapping[str, str]
"""JSON texts by the names of their settings."""


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One change of a setting: its old and new value as JSON text, the time (RFC 3339), and its author."""

    changed_at: str
    changed_by: str
    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision about the settings: the texts to keep from now on, and the `changes` to record.

    `identity` is the new identifier, if it changes. `means_otherwise`: every row of the next file is compared again.
    """

    kept: Texts
    changes: Sequence[SettingChange]
    identity: Identity | None = None
    means_otherwise: bool = False
