"""The files of a tenant in /results: the report of every import, and the rejected rows. Only the newest are kept.

These functions block on files: give them to `Results.change`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from importer.folder import TenantFolder
from importer.report import Report
from importer.worker.results_folder import ResultsFolder

KEPT = 50
"""The number of reports of imports that are kept, and of reports of dry runs."""

_NAME = re.compile(r"sync_users-(\d+)\.(?:json|errors\.csv)")


def publish(results: ResultsFolder, folder: TenantFolder, report: Report) -> None:
    """Write `report` to /results, and the rejected rows beside it if there are any. Raises OSError."""
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    rejected, shown = folder.errors(report.id), errors_file(folder, report.id).name
    results.write(report_file(folder, report.id).name, text.encode())
    if report.counts.rejected and rejected.exists():
        results.link(shown, rejected)
    else:
        results.remove(shown)


def prune(results: ResultsFolder, kept: Collection[int]) -> None:
    """Delete the reports of all imports whose ids are not in `kept`. Files of other names stay."""
    for name in results.names():
        match = _NAME.fullmatch(name)
        if match and int(match[1]) not in kept:
            results.remove(name)


def report_file(folder: TenantFolder, import_id: int) -> Path:
    return folder.results / f"sync_users-{import_id}.json"


def errors_file(folder: TenantFolder, import_id: int) -> Path:
    return folder.results / f"sync_users-{import_id}.errors.csv"
