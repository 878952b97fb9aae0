"""What a tenant has chosen, as it is kept: of the settings that differ from their defaults, each as JSON text.  Pure.

What they mean, and which there are, is said where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from importer.rules.identity import Identity

Texts = Mapping[str, str]
"""JSON texts by the names of their settings."""


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One change of a setting: when (RFC 3339), by whom, which, and its old and new value as JSON text."""

    changed_at: str
    changed_by: str
    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What was decided about the settings: what is `kept` from now on, and the `changes` that are remembered.

    `identity` tells users apart from now on, where it is another; `means_otherwise`: every row of the next file is
    looked at again.
    """

    kept: Texts
    changes: Sequence[SettingChange]
    identity: Identity | None = None
    means_otherwise: bool = False
