"""The files of a tenant in /results: the report of every import, and the rejected rows.

A file there is complete or absent: it is made in the staging folder and renamed. Only the newest are kept. No link is
followed: each folder is opened inside its parent, and a link in place of a folder raises OSError. These functions
block on files: call them in a thread.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from importer.folder import TenantFolder
from importer.report import Report

KEPT = 50
"""The number of reports of imports that are kept, and of reports of dry runs."""

_NAME = re.compile(r"sync_users-(\d+)\.(?:json|errors\.csv)")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def publish(folder: TenantFolder, report: Report) -> None:
    """Write `report` to /results, and the rejected rows beside it if there are any. Raises OSError."""
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    rejected, shown = folder.errors(report.id), errors_file(folder, report.id).name
    with _opened(folder) as (staging, results):
        name = report_file(folder, report.id).name
        with _replacing(name, staging, results) as new, open(os.open(new, _NEW, 0o600, dir_fd=staging), "wb") as file:
            file.write(text.encode())
        if not report.counts.rejected or not rejected.exists():
            with suppress(FileNotFoundError):
                os.unlink(shown, dir_fd=results)
        elif not _is(shown, results, rejected):  # renaming one name of a file over another does nothing
            with _replacing(shown, staging, results) as new:
                os.link(rejected, new, dst_dir_fd=staging, follow_symlinks=False)


def prune(folder: TenantFolder, kept: Collection[int]) -> None:
    """Delete the reports of all imports whose ids are not in `kept`. Files of other names stay."""
    with _opened(folder) as (_, results):
        for name in os.listdir(results):
            match = _NAME.fullmatch(name)
            if match and int(match[1]) not in kept:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=results)


def report_file(folder: TenantFolder, import_id: int) -> Path:
    return folder.results / f"sync_users-{import_id}.json"


def errors_file(folder: TenantFolder, import_id: int) -> Path:
    return folder.results / f"sync_users-{import_id}.errors.csv"


@contextmanager
def _opened(folder: TenantFolder) -> Iterator[tuple[int, int]]:
    """Return descriptors of the staging folder and of /results, which are created if missing."""
    with ExitStack() as stack:

        def inside(parent: int | None, path: Path | str) -> int:
            if parent is not None:
                with suppress(FileExistsError):
                    os.mkdir(path, 0o700, dir_fd=parent)
            fd = os.open(path, _FOLDER, dir_fd=parent)
            stack.callback(os.close, fd)
            return fd

        root = inside(None, folder.root)
        yield inside(root, folder.staging.name), inside(inside(root, folder.files.name), folder.results.name)


@contextmanager
def _replacing(name: str, staging: int, results: int) -> Iterator[str]:
    """Yield a name in staging for the block to create a file at; afterwards that file replaces `name` in /results."""
    new = f"{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(new, dir_fd=staging)
    try:
        yield new
        os.rename(new, name, src_dir_fd=staging, dst_dir_fd=results)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=staging)
        raise


def _is(name: str, folder: int, other: Path) -> bool:
    """Return whether `name` in the open `folder` and `other` are the same file."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), other.stat())
    except FileNotFoundError:
        return False
