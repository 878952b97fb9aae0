"""Advice stored beside the messages of its import; and the newest advice of a tenant, with the facts it depends on.

Most files come every night. So the newest advice is shown again if its facts are the same: the header, the settings,
the codes of the messages and the possible identifiers. The expected result is not shown again: it was computed with
another file and other users.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from importer.advice.advise import about, look_at
from importer.advice.model import Advice
from importer.archive import Archive
from importer.folder import TenantFolder
from importer.model import Outcome
from importer.queue.entry import Entry
from importer.report import Report
from importer.rules.settings import ImportSettings
from importer.users.users import Users

HEADER_BYTES = 64 * 1024


def matter_of(file: Path, users: Users, settings: ImportSettings, outcome: Outcome) -> str:
    """Return a digest of the facts that advice on an import depends on; blocks. Raises OSError, TryAgain."""
    with file.open("rb") as opened:
        header = opened.readline(HEADER_BYTES)
    look = look_at(users, settings)
    parts = (
        *(header.decode("latin-1"), settings.model_dump(mode="json"), outcome.state.value, about(outcome)),
        *(look.are, sorted(look.numbered)),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def show_again(folder: TenantFolder, made: TenantFolder, import_id: int, matter: str) -> bool:
    """Write the newest advice, in `folder`, for this import too, if it depends on the same facts.

    Returns whether it does. The file is in `made` then. Blocks. Raises OSError.
    """
    last = _read(folder.newest_advice)
    if last is None or last.get("about") != matter:
        return False
    told = last["advice"]
    _write(made.advice(import_id), told and {**told, "state": None, "counts": None})
    return True


def keep_advice(folder: TenantFolder, import_id: int, matter: str, advice: Advice | None) -> None:
    """Store advice, or that there is none, for this import and as the newest; blocks. Raises OSError."""
    told = advice.to_json() if advice else None
    _write(folder.advice(import_id), told)
    _write(folder.newest_advice, {"about": matter, "advice": told})


def kept_advice(folder: TenantFolder, import_id: int) -> Advice | None:
    """Return the advice stored for this import; None if there is none, or it cannot be read. Blocks."""
    found = _read(folder.advice(import_id))
    with suppress(KeyError, TypeError, AttributeError):
        return Advice.from_json(found) if found else None
    return None


async def report_of(archive: Archive, folder: TenantFolder, entry: Entry) -> Report:
    """Return the public report of an import, with the advice on its file. Raises OSError, TryAgain."""
    await archive.fetch(folder, folder.advice(entry.id))
    return await asyncio.to_thread(report_in, folder, entry)


def report_in(folder: TenantFolder, entry: Entry) -> Report:
    """Return the public report of an import, with the advice that is in the folder; blocks."""
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
