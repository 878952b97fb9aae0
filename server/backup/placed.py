"""Find the files that have just landed and are where a start would place them: a backup has them as files."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.sqlite.backup import Landed
from importer.folder import TenantFolder
from server.backup.manifest import Entry


def visible_files(data_dir: Path, landed: Iterable[Landed]) -> list[list[Landed]]:
    """Return those of `landed`, which are in the order of their landing, whose newest one is visible, by their paths.

    While headcount.db is locked, no client can change these names. Blocks.
    """
    paths: dict[tuple[str, str], list[Landed]] = {}
    for file in landed:
        paths.setdefault((file.tenant, file.path), []).append(file)
    return [
        files
        for (tenant, path), files in paths.items()
        if _has(TenantFolder(data_dir / "tenants" / tenant).visible(path), files[-1].content)
    ]


def placed_files(visible: Iterable[list[Landed]], needed: Mapping[str, Mapping[str, Entry]]) -> list[Landed]:
    """Return the `visible_files` whose copies the backup has, too; these are `needed`.

    Either all files of a path, or none: else a start would place an earlier one over the newest.
    """
    return [
        file
        for files in visible
        if all(_has_copy(file, needed.get(file.tenant, {})) for file in files)
        for file in files
    ]


def _has_copy(file: Landed, copies: Mapping[str, Entry]) -> bool:
    copy = copies.get(f"tenants/{file.tenant}/runs/{file.run_id}.file")
    return not file.needed or (copy is not None and copy.sha256 == hashlib.sha256(file.content).hexdigest())


def _has(path: Path, content: bytes) -> bool:
    try:
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False
