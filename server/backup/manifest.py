"""The manifest of a backup: all that belongs to one state of the data folder, with checksums. Pure.

It is one JSON document. Each entry has its path in the data folder and the SHA-256 of its bytes, which is also the
name of the object in the backup that has them. `digest` covers all entries.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from ground.refusals import Refusal

FORMAT = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BackupUnusable(Refusal):
    """A backup that cannot be restored, or a folder that is not a backup."""

    def __init__(self, message: str) -> None:
        super().__init__("backup_unusable", message)


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder (`sha256` is None), or a file with its bytes.

    `look` tells whether the source is still the same: the empty text if that is not known. Two files with one look
    that is not empty were two names of one file. `database` is the kind of a database, `server` or `tenant`.
    """

    path: str
    mode: int
    mtime_ns: int
    sha256: str | None = None
    size: int = 0
    look: str = ""
    database: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


_NAMES = [each.name for each in fields(Entry)]
_NEEDED = {"path", "mode", "mtime_ns"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of a data folder.

    `made_at` (RFC 3339) is when the backup began. `broken` has the tenants whose data could not be read, each with
    the reason: their entries are of an earlier backup, or missing. `skipped` has the paths outside the folders
    of tenants that could not be read, likewise. `data_folder` is the id of the data folder, empty if that is not
    known.
    """

    made_at: str
    entries: tuple[Entry, ...]
    broken: Mapping[str, str] = field(default_factory=dict)
    data_folder: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)

    def objects(self) -> dict[str, int]:
        """Return the sizes of all objects, by SHA-256."""
        return {entry.sha256: entry.size for entry in self.entries if entry.sha256}

    def under(self, folder: str) -> list[Entry]:
        """Return the entries of this folder and all below it."""
        return [entry for entry in self.entries if entry.path == folder or entry.path.startswith(f"{folder}/")]


def to_text(manifest: Manifest) -> str:
    """Return the document."""
    entries = [_plain(entry) for entry in manifest.entries]
    facts: dict[str, Any] = {
        "made_at": manifest.made_at,
        "data_folder": manifest.data_folder,
        "broken": dict(manifest.broken),
        "skipped": dict(manifest.skipped),
    }
    digest = _digest({**facts, "entries": entries})
    start = json.dumps({"format": FORMAT, "digest": digest, **facts}, indent=1).removesuffix("\n}")
    lines = ",\n  ".join(map(json.dumps, entries))  # `indent` takes Python's own encoder, which is far slower
    return f'{start},\n "entries": [\n  {lines}\n ]\n}}\n'


def from_text(text: str) -> Manifest:
    """Read the document. Raises BackupUnusable if it is damaged or newer."""
    try:
        found = json.loads(text)
        version, digest = found.pop("format"), found.pop("digest")
        if version != FORMAT:
            raise BackupUnusable(f"the backup has format {version}; this Headcount reads {FORMAT}. Upgrade Headcount")
        if digest != _digest(found):
            raise BackupUnusable("the manifest of the backup is damaged: its checksum does not match")
        entries = tuple(_checked(Entry(**each)) for each in found["entries"])
        data_folder, skipped = found.get("data_folder", ""), found.get("skipped", {})
        return Manifest(found["made_at"], entries, found["broken"], data_folder, skipped)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupUnusable(f"the manifest of the backup is damaged ({type(error).__name__})") from error


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries by path, so that each folder comes before its content."""
    return tuple(sorted(entries, key=lambda entry: entry.path.split("/")))


def _plain(entry: Entry) -> dict[str, Any]:
    facts = ((name, getattr(entry, name)) for name in _NAMES)
    return {name: value for name, value in facts if value or name in _NEEDED}


def _digest(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _checked(entry: Entry) -> Entry:
    """Return the entry if its path stays inside the data folder. Raises ValueError."""
    path = PurePosixPath(entry.path)
    if path.is_absolute() or str(path) != entry.path or entry.path == "." or ".." in path.parts or "\0" in entry.path:
        raise ValueError(entry.path)
    if entry.sha256 is not None and not _SHA256.fullmatch(entry.sha256):
        raise ValueError(entry.sha256)
    return entry
