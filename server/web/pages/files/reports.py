"""The files that a hook reported about a run: in /results, where the company finds them over SFTP too."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response

from engine.runs import Run
from headcount.hooks import REPORT_NAME
from importer.folder import TenantFolder
from server.files.paths import RESULTS, ClientPath
from server.files.tree import Tree
from server.web.downloads import opened_download
from server.web.http_problem import HttpProblem

JSON = "json"
"""The name of the report itself."""


def report_names(folder: TenantFolder, run: Run) -> list[str]:
    """Return the names of the files that the hook reported and that are still kept, in order. Blocks."""
    try:
        with _tree(folder) as tree:
            names = _names(tree)
    except OSError:
        return []
    pattern = re.compile(rf"{re.escape(_beginning(run))}({REPORT_NAME.pattern})")
    found = (pattern.fullmatch(name) for name in names)
    return sorted(each[1] for each in found if each and each[1] != JSON)


async def send_report(request: Request, folder: TenantFolder, run: Run, name: str) -> Response:
    """Send the file that the hook reported under `name`. Raises HttpProblem 404 if there is none."""
    if not REPORT_NAME.fullmatch(name):
        raise _no_file()
    whole = f"{_beginning(run)}{name}"
    file = await asyncio.to_thread(_opened, folder, whole)
    return opened_download(request, file, whole, "application/octet-stream")


def _opened(folder: TenantFolder, name: str) -> BinaryIO:
    try:
        with _tree(folder) as tree:
            return os.fdopen(tree.open_file(ClientPath((RESULTS, name.encode()))), "rb")
    except OSError:
        raise _no_file() from None


@contextmanager
def _tree(folder: TenantFolder) -> Iterator[Tree]:
    """Open the tenant's folder: files in it are read without following a link. Raises OSError."""
    tree = Tree(folder.files)
    try:
        yield tree
    finally:
        tree.close()


def _names(tree: Tree) -> list[str]:
    """Return the names in /results. Raises OSError."""
    fd = tree.open_folder((RESULTS,))
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _beginning(run: Run) -> str:
    return f"{run.hook}-{run.id}."


def _no_file() -> HttpProblem:
    return HttpProblem(404, "This file does not exist, or is no longer kept.", code="no_file")
