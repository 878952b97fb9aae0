"""Walk through the data folder, and keep what is wrong with an entry. It changes nothing, but blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ground.access import may
from server.doctor.entries import Fault, Kind, Seen, fault_of, fault_of_data_folder, is_own, is_written

OTHERS_ENTER = 0o011


def faulty_entries(data_dir: Path, owner: int) -> Iterator[tuple[Seen, Fault]]:
    """Yield the entries of `data_dir` that are not as Headcount makes them, each folder before its content.

    The data folder itself may have another owner, as the root of a disk has, but must be usable.
    """
    found = data_dir.stat()
    seen = _seen(data_dir, "", found, reachable=True)
    if fault := fault_of_data_folder(seen, owner):
        yield seen, fault
    reachable = bool(found.st_mode & OTHERS_ENTER)
    for name in _names(data_dir):
        yield from _below(data_dir, name, owner, reachable=reachable)


def _below(data_dir: Path, path: str, owner: int, *, reachable: bool) -> Iterator[tuple[Seen, Fault]]:
    if not is_own(path):
        return
    place = data_dir / path
    seen = _look(place, path, reachable=reachable)
    if seen and not seen.usable:  # perhaps it was replaced or deleted before its access was asked for
        seen = _look(place, path, reachable=reachable)
    if seen is None:
        return
    fault = fault_of(seen, owner)
    if fault:
        yield seen, fault
    if seen.kind is Kind.FOLDER:
        further = reachable and bool(seen.mode & OTHERS_ENTER) and fault is not Fault.EXPOSED
        for name in _names(place):
            yield from _below(data_dir, f"{path}/{name}", owner, reachable=further)


def _look(place: Path, path: str, *, reachable: bool) -> Seen | None:
    try:
        return _seen(place, path, os.stat(place, follow_symlinks=False), reachable=reachable)
    except OSError:  # deleted meanwhile, or its folder cannot be entered, which is a fault of its own
        return None


def _seen(place: Path, path: str, found: os.stat_result, *, reachable: bool) -> Seen:
    kind = _kind_of(found.st_mode)
    needed = os.R_OK | os.W_OK if is_written(path) else os.R_OK
    if kind is Kind.FOLDER:
        needed = os.R_OK | os.W_OK | os.X_OK
    return Seen(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(found.st_mode),
        owner=found.st_uid,
        usable=kind not in {Kind.FOLDER, Kind.FILE} or may(place, needed),
        reachable=reachable,
        target=os.path.realpath(place) if kind is Kind.LINK else None,
        lost=kind is Kind.LINK and not os.path.exists(place),
    )


def _kind_of(mode: int) -> Kind:
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    if stat.S_ISREG(mode):
        return Kind.FILE
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
    return []
