"""The files of runs in a tenant's /results: a report of each run, and beside it what the hook reported.

Only the newest of each hook are kept. Functions that are not coroutines block on files. Give `publish` and `prune` to
`Results.change`, and call the others in a thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from engine.runs import Run
from headcount.hooks import REPORT_NAME
from importer.archive import Archive
from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.worker.results_folder import ResultsFolder
from server.runs.report import run_json

KEPT = 50
"""The number of runs of each hook whose reports are kept."""


def publish(results: ResultsFolder, folder: TenantFolder, run: Run) -> None:
    """Write the report of `run` to /results, after the files that its last attempt reported. Raises OSError.

    Files of earlier attempts and ends of this run are removed.
    """
    text = json.dumps(run_json(run), ensure_ascii=False, indent=2) + "\n"
    reported = dict(_reported(folder, run))
    for name, file in reported.items():
        file.chmod(0o600)
        results.link(name, file)
    results.write(report_name(run), text.encode())
    for name in results.names():
        if name.startswith(_beginning(run)) and name != report_name(run) and name not in reported:
            results.remove(name)


def prune(results: ResultsFolder, hook: str, kept: Collection[int]) -> None:
    """Delete the files of all runs of `hook` whose ids are not in `kept`. Files of other names stay."""
    of_hook = re.compile(rf"{re.escape(hook)}-(\d+)\..+", re.DOTALL)
    for name in results.names():
        match = of_hook.fullmatch(name)
        if match and int(match[1]) not in kept:
            results.remove(name)


def make_room(folder: TenantFolder, run_id: int) -> Path:
    """Return an empty folder for what the next attempt reports. Raises OSError."""
    reports = folder.run_reports(run_id)
    folder.runs.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(reports)
    reports.mkdir(mode=0o700)
    return reports


async def clear(archive: Archive, folder: TenantFolder, run_id: int, *, copy: bool, reports: bool) -> None:
    """Remove what an ended run needs no longer. A later start removes the rest."""
    if copy:
        with suppress(OSError, TryAgain):
            await archive.drop(folder, folder.run_copy(run_id))
    if reports:
        await asyncio.to_thread(shutil.rmtree, folder.run_reports(run_id), ignore_errors=True)


def report_name(run: Run) -> str:
    return f"{_beginning(run)}json"


def _beginning(run: Run) -> str:
    return f"{run.hook}-{run.id}."


def _reported(folder: TenantFolder, run: Run) -> Iterator[tuple[str, Path]]:
    """Yield the files that the last attempt reported, by their names in /results. `json` is the run's own report."""
    reports = folder.run_reports(run.id)
    with suppress(FileNotFoundError):
        for name in os.listdir(reports):
            file = reports / name
            if REPORT_NAME.fullmatch(name) and name != "json" and stat.S_ISREG(file.lstat().st_mode):
                yield f"{_beginning(run)}{name}", file
