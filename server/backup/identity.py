"""The id of a data folder. The folder of a backup belongs to it: no other one replaces the backup unasked."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from ground.access import no_access
from ground.files import NEW, replace_file
from server.backup.manifest import BackupUnusable, Manifest

ID = "backup.id"
"""The file in the data folder that has its id. A restored data folder has it too, so its backups go on."""


def id_for(data_dir: Path, folder: Path, previous: Manifest | None) -> str:
    """Return the id of `data_dir`, made if needed; empty if the disk takes no new file.

    Raises BackupUnusable if `previous`, the backup in `folder`, is of another data folder, or if the id cannot be
    read.
    """
    path, known = data_dir / ID, ""
    try:
        known = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BackupUnusable(no_access(path, error.strerror)) from error
    if previous and previous.data_folder and previous.data_folder != known:
        raise BackupUnusable(
            f"{folder} has the backup of another data folder. Is {data_dir} the right one, and is its disk mounted? "
            "Name another folder for its backup, or replace the one that is there with --replace"
        )
    return known or _made(path)


def _made(path: Path) -> str:
    made = secrets.token_hex(16)
    try:
        replace_file(path, f"{made}\n".encode())
    except OSError:
        with suppress(OSError):
            path.with_name(path.name + NEW).unlink()
        return ""
    return made
