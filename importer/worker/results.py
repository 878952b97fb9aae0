"""What a tenant finds in /results: the report of every import, and the rows that were rejected.

A file there is whole or not there: it is made in the staging folder and renamed. Only the newest are kept. What runs
here touches files only, and belongs into a thread.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

from importer.folder import TenantFolder
from importer.model import Report

KEPT = 50
"""So many reports of imports are kept, and so many of dry runs."""

_NAME = re.compile(r"sync_users-(\d+)\.(?:json|errors\.csv)")


def publish(folder: TenantFolder, report: Report) -> None:
    """Make /results show `report`, and the rejected rows beside it if there are any. Raises OSError."""
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    _replace(folder, report_file(folder, report.id), lambda new: _write(new, text))
    rejected, shown = folder.errors(report.id), errors_file(folder, report.id)
    if not report.counts.rejected or not rejected.exists():
        shown.unlink(missing_ok=True)
    elif not (shown.exists() and shown.samefile(rejected)):  # renaming one name of a file over another does nothing
        _replace(folder, shown, lambda new: os.link(rejected, new))


def prune(folder: TenantFolder, kept: Collection[int]) -> None:
    """Remove the reports of all imports but those whose ids are in `kept`. Files of other names stay."""
    for file in folder.results.iterdir():
        match = _NAME.fullmatch(file.name)
        if match and int(match[1]) not in kept:
            file.unlink(missing_ok=True)


def report_file(folder: TenantFolder, import_id: int) -> Path:
    return folder.results / f"sync_users-{import_id}.json"


def errors_file(folder: TenantFolder, import_id: int) -> Path:
    return folder.results / f"sync_users-{import_id}.errors.csv"


def _replace(folder: TenantFolder, target: Path, make: Callable[[Path], None]) -> None:
    for each in (folder.staging, folder.results):
        each.mkdir(mode=0o700, exist_ok=True)
    new = folder.staging / f"{target.name}.new"
    new.unlink(missing_ok=True)
    try:
        make(new)
        new.rename(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
