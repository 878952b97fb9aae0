"""Decide what is wrong with an entry of the data folder, from its kind, owner and mode alone. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from ground.words import counted
from server.doctor.findings import Finding, Severity

OWN = {"tenants", "removed", "host_keys", "digests", "backup.id", "backup.newest", "sending-off"}
"""Names in the data folder that Headcount makes, beside those that begin with `headcount.`."""

DATABASE = "headcount.db"
ALL_DATABASE_FILES = f"{DATABASE}*"

READ_ONLY = {"host_keys", "backup.id", "sending-off"}
"""Names in the data folder that are made, replaced or removed, and never written."""

READ_ONLY_PLACES = {"files", "uploads", "runs"}
"""Folders of a tenant whose files are replaced and never written, so that it is enough to read them."""


class Kind(Enum):
    """The kind of an entry. OTHER is a device, a socket or a pipe."""

    FOLDER = auto()
    FILE = auto()
    LINK = auto()
    OTHER = auto()


class Fault(Enum):
    """A fault of an entry."""

    FOREIGN = auto()
    SHUT = auto()
    EXPOSED = auto()
    LINKED = auto()
    SPECIAL = auto()


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry at `path`, relative to the data folder.

    `usable`: this process has the access that `is_written` demands. `reachable`: other users can open all folders
    above. `target` is the path that a link names, and `lost` that nothing is there.
    """

    path: str
    kind: Kind
    mode: int
    owner: int
    usable: bool
    reachable: bool
    target: str | None = None
    lost: bool = False


def is_own(path: str) -> bool:
    """Return whether Headcount made what is at `path`, relative to the data folder.

    Else the operator, another program or the file system did.
    """
    first, *rest = path.split("/")
    if first not in OWN and (not first.startswith("headcount.") or first == "headcount.toml"):
        return False
    if not rest or len(rest) > 2 or first not in {"tenants", "removed"}:
        return True
    return rest[-1] == ".lock" or not (rest[-1].startswith(".") or rest[-1] == "lost+found")


def is_written(path: str) -> bool:
    """Return whether the server writes to the file at `path`, or only reads it."""
    parts = path.split("/")
    return parts[0] not in READ_ONLY and not (
        len(parts) > 3 and parts[0] in {"tenants", "removed"} and parts[2] in READ_ONLY_PLACES
    )


def fault_of(seen: Seen, owner: int) -> Fault | None:
    """Return what is wrong with an entry of a data folder that belongs to `owner`."""
    if seen.kind is Kind.LINK:
        return Fault.LINKED
    if seen.kind is Kind.OTHER:
        return Fault.SPECIAL
    if seen.owner != owner:
        return Fault.FOREIGN
    if not seen.usable:
        return Fault.SHUT
    exposed = seen.reachable and seen.mode & 0o077 and not seen.path.endswith(".pub")
    return Fault.EXPOSED if exposed else None


def entry_findings(
    faulty: Iterable[tuple[Seen, Fault]],
    data_dir: str,
    owner: str,
    names: Mapping[int, str],
    tenants: Collection[str],
) -> list[Finding]:
    """Return the findings about these entries, in the order of a walk: one for all of a tenant with the same fault.

    `owner` is the name of the user that owns the data, `names` are those of other users. The path "" is the data
    folder itself.
    """
    groups: dict[tuple[str, Fault, str], list[Seen]] = {}
    for seen, fault in faulty:
        together = fault in {Fault.FOREIGN, Fault.SHUT}
        groups.setdefault((_base(seen.path), fault, "" if together else seen.path), []).append(seen)
    data = _Data(data_dir, owner, names, tenants)
    return [_finding(base, fault, found, data) for (base, fault, _), found in groups.items()]


@dataclass(frozen=True, slots=True)
class _Data:
    folder: str
    owner: str
    names: Mapping[int, str]
    tenants: Collection[str]


def fault_of_data_folder(seen: Seen, owner: int) -> Fault | None:
    """Return what is wrong with the data folder itself, whose data belongs to `owner`.

    It may be the root of a disk, which has another owner; `owner` then perhaps uses it by its group.
    """
    if not seen.usable:
        return Fault.SHUT if seen.owner == owner else Fault.FOREIGN
    return Fault.EXPOSED if seen.mode & (0o022 if seen.owner == owner else 0o002) else None


def _tenant_of(path: str, tenants: Collection[str]) -> str | None:
    parts = path.split("/")
    return parts[1] if parts[0] == "tenants" and len(parts) > 1 and parts[1] in tenants else None


def _base(path: str) -> str:
    """Return the folder of the tenant, or the first name in the data folder; headcount.db has one with its logs."""
    if path.startswith(DATABASE):
        return ALL_DATABASE_FILES  # SQLite makes the files beside a database with the owner and mode of that
    return "/".join(path.split("/")[: 2 if path.startswith(("tenants/", "removed/")) else 1])


def _finding(base: str, fault: Fault, found: list[Seen], data: _Data) -> Finding:
    first = found[0]
    place = f"{data.folder}/{first.path}".rstrip("/")
    name = shlex.quote(place)
    whole = (
        f"{shlex.quote(data.folder)}/{base if base == ALL_DATABASE_FILES else shlex.quote(base)}" if base else name
    )
    all_of = base != ""  # of the data folder itself only the entry: it may have files of other programs
    finding = Finding(_tenant_of(first.path, data.tenants), place, Severity.WARNING, "", "")
    if fault is Fault.FOREIGN:
        other = data.names.get(first.owner, f"#{first.owner}")
        return replace(
            finding,
            severity=Severity.WARNING if all(each.usable for each in found) else Severity.ERROR,
            what=f"{place} belongs to the user {other}, not to {data.owner}{_further(found)}",
            do=f"As root, make {data.owner} the owner: chown{' -hR' * all_of} {shlex.quote(data.owner)} {whole}",
        )
    if fault is Fault.SHUT:
        return replace(
            finding,
            severity=Severity.ERROR,
            what=f"{place} cannot be read or written by its owner (mode {first.mode:04o}){_further(found)}",
            do=f"Give its owner access: chmod{' -R' * all_of} u+rwX {whole}",
        )
    if fault is Fault.EXPOSED:
        return _exposed(finding, first, name, data)
    if fault is Fault.SPECIAL:
        return replace(
            finding,
            what=f"{place} is a device, a socket or a pipe",
            do=f"Remove it, because Headcount made no such file: rm {name}",
        )
    return _linked(finding, first, name)


def _exposed(finding: Finding, seen: Seen, name: str, data: _Data) -> Finding:
    if not seen.path:  # the data folder itself
        others = "go" if data.names.get(seen.owner) == data.owner else "o"
        return replace(
            finding,
            what=f"other users of this machine can write to {finding.file} (mode {seen.mode:04o})",
            do=f"End their access: chmod {others}-w {name}",
        )
    return replace(
        finding,
        what=f"other users of this machine can open {finding.file} (mode {seen.mode:04o})",
        do=f"End their access: chmod -R go= {name}",
    )


def _linked(finding: Finding, seen: Seen, name: str) -> Finding:
    gone = ", where nothing is" if seen.lost else ""
    # The server does not follow a link in the place of this folder.
    refused = seen.path.startswith("tenants/") and seen.path.split("/")[2:] == ["files"]
    return replace(
        finding,
        severity=Severity.ERROR if refused else Severity.WARNING,
        what=f"{finding.file} is a symbolic link to {seen.target}{gone}",
        do=_of_link(seen, name),
    )


def _of_link(seen: Seen, name: str) -> str:
    """Return what to do about a link: the only copy is never at risk, not even if a command fails on the way."""
    parts = seen.path.split("/")
    if parts[0] in {"tenants", "removed"} and parts[2:3] == ["files"] and len(parts) > 3:
        return f"Remove the link: rm {name}"
    if seen.lost:
        return (
            "If the link leads to another disk, mount this. Else remove it, and restore from a backup what it named"
        )
    target, new = shlex.quote(str(seen.target)), f"{name}.new"
    log = f"{{ test ! -e {target}-wal || cp -a {target}-wal {name}-wal; }} && " if name.endswith(".db") else ""
    return (
        "Stop the server, and put a copy in the place of the link: "
        f"cp -aT {target} {new} && {log}rm {name} && mv {new} {name}"
    )


def _further(found: list[Seen]) -> str:
    return f"; the same holds for {counted(len(found) - 1, 'other entry', 'other entries')}" if len(found) > 1 else ""
