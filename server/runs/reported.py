"""The files that a hook reported about a run: in /results, where the company finds them over SFTP too."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import BinaryIO

from engine.runs import Run
from headcount.hooks import REPORT_NAME
from importer.folder import TenantFolder
from server.files.files import AllFiles
from server.files.paths import RESULTS, ClientPath

JSON = "json"
"""The name of the report itself."""


async def report_names(files: AllFiles, folder: TenantFolder, run: Run) -> list[str]:
    """Return the names of the files that the hook reported and that are still kept, in order."""
    try:
        names = await files.names(folder.root, ClientPath((RESULTS,)))
    except OSError:
        return []
    pattern = re.compile(rf"{re.escape(file_name(run, ''))}({REPORT_NAME.pattern})")
    found = (pattern.fullmatch(name.decode(errors="replace")) for name in names)
    return sorted(each[1] for each in found if each and each[1] != JSON)


async def open_report(files: AllFiles, folder: TenantFolder, run: Run, name: str) -> BinaryIO:
    """Open the file that the hook reported under `name`. Raises FileNotFoundError if there is none."""
    if REPORT_NAME.fullmatch(name):
        with suppress(OSError):
            return await files.look(folder.root, ClientPath((RESULTS, file_name(run, name).encode())))
    raise FileNotFoundError(name)


def file_name(run: Run, name: str) -> str:
    """Return the name in /results of the file that the hook reported under `name`."""
    return f"{run.hook}-{run.id}.{name}"
