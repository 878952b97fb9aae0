"""Walk through the data folder, and keep what is wrong with an entry. It changes nothing, but blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ground.access import may
from server.doctor.entries import Fault, Kind, Seen, fault_of, is_own, is_written

OTHERS_ENTER = 0o011


def faulty_entries(data_dir: Path, owner: int) -> Iterator[tuple[Seen, Fault]]:
    """Yield the entries of `data_dir` that are not as Headcount makes them, each folder before its content."""
    reachable = bool(data_dir.stat().st_mode & OTHERS_ENTER)
    for name in _names(data_dir):
        if is_own(name):
            yield from _below(data_dir, name, owner, reachable=reachable)


def _below(data_dir: Path, path: str, owner: int, *, reachable: bool) -> Iterator[tuple[Seen, Fault]]:
    place = data_dir / path
    try:
        found = os.stat(place, follow_symlinks=False)
    except OSError:  # deleted meanwhile, or its folder cannot be entered, which is a fault of its own
        return
    seen = _seen(place, path, found, reachable=reachable)
    if fault := fault_of(seen, owner):
        yield seen, fault
    if seen.kind is Kind.FOLDER:
        further = reachable and bool(found.st_mode & OTHERS_ENTER) and fault is not Fault.EXPOSED
        for name in _names(place):
            yield from _below(data_dir, f"{path}/{name}", owner, reachable=further)


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
        target=str(place.resolve()) if kind is Kind.LINK and os.path.exists(place) else None,
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
