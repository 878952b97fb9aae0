"""The files that a hook reported about a run: in /results, where the company finds them over SFTP too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from engine.runs import Run
from headcount.hooks import REPORT_NAME
from importer.folder import TenantFolder
from server.files.local.tree import Tree
from server.files.paths import RESULTS, ClientPath

JSON = "json"
"""The name of the report itself."""


def report_names(folder: TenantFolder, run: Run) -> list[str]:
    """Return the names of the files that the hook reported and that are still kept, in order. Blocks."""
    try:
        with _tree(folder) as tree:
            names = _names(tree)
    except OSError:
        return []
    pattern = re.compile(rf"{re.escape(file_name(run, ''))}({REPORT_NAME.pattern})")
    found = (pattern.fullmatch(name) for name in names)
    return sorted(each[1] for each in found if each and each[1] != JSON)


def open_report(folder: TenantFolder, run: Run, name: str) -> BinaryIO:
    """Open the file that the hook reported under `name`. Raises FileNotFoundError if there is none. Blocks."""
    if REPORT_NAME.fullmatch(name):
        with suppress(OSError), _tree(folder) as tree:
            path = ClientPath((RESULTS, file_name(run, name).encode()))
            return os.fdopen(tree.open_file(path), "rb")
    raise FileNotFoundError(name)


def file_name(run: Run, name: str) -> str:
    """Return the name in /results of the file that the hook reported under `name`."""
    return f"{run.hook}-{run.id}.{name}"


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
