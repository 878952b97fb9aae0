"""Advice kept beside the messages of its import, and the last one of a tenant, with what that was about.

While the header of the file, the settings, the kinds of faults and the identifiers that users may have are those of
the last one, it is shown again and not made anew: most files come every night. What the file would come to is not
shown again, as it was tried with another file and other users.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from importer.advice.advise import about, look_at
from importer.advice.model import Advice
from importer.folder import TenantFolder
from importer.model import Outcome
from importer.queue.entry import Entry
from importer.report import Report
from importer.rules.settings import ImportSettings
from importer.users.users import Users

HEADER_BYTES = 64 * 1024


def matter_of(file: Path, users: Users, settings: ImportSettings, outcome: Outcome) -> str:
    """A short name for what advice on an import would be about; blocks. Raises OSError, TryAgain."""
    with file.open("rb") as opened:
        header = opened.readline(HEADER_BYTES)
    look = look_at(users, settings)
    parts = (
        *(header.decode("latin-1"), settings.model_dump(mode="json"), outcome.state.value, about(outcome)),
        *(look.are, sorted(look.numbered)),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def show_again(folder: TenantFolder, import_id: int, matter: str) -> bool:
    """Keep the last advice for this import too, if it is about the same; whether it is. Blocks, raises OSError."""
    last = _read(folder.last_advice)
    if last is None or last.get("about") != matter:
        return False
    told = last["advice"]
    _write(folder.advice(import_id), told and {**told, "state": None, "counts": None})
    return True


def keep_advice(folder: TenantFolder, import_id: int, matter: str, advice: Advice | None) -> None:
    """Keep advice, or that there is none, for this import and as the last one; blocks. Raises OSError."""
    told = advice.to_json() if advice else None
    _write(folder.advice(import_id), told)
    _write(folder.last_advice, {"about": matter, "advice": told})


def kept_advice(folder: TenantFolder, import_id: int) -> Advice | None:
    """What was kept for this import; None if nothing was, or it cannot be read. Blocks."""
    found = _read(folder.advice(import_id))
    with suppress(KeyError, TypeError, AttributeError):
        return Advice.from_json(found) if found else None
    return None


def report_of(folder: TenantFolder, entry: Entry) -> Report:
    """The import as everybody sees it, with the advice on its file; blocks."""
    advice = kept_advice(folder, entry.id)
    return entry.report(advice.to_json() if advice else None)


def _read(path: Path) -> Any:
    with suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def _write(path: Path, told: Any) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(json.dumps(told), encoding="utf-8")
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
