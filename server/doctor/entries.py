"""Decide what is wrong with an entry of the data folder, from its kind, owner and mode alone. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from ground.words import counted
from server.doctor.findings import Finding, Severity

OWN = {"tenants", "removed", "host_keys", "digests"}
"""Names in the data folder that Headcount makes, beside those that begin with `headcount.`."""

ALL_DATABASE_FILES = "headcount.*"

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
    above. `target` is the path that a link names, None if nothing is there.
    """

    path: str
    kind: Kind
    mode: int
    owner: int
    usable: bool
    reachable: bool
    target: str | None = None


def is_own(path: str) -> bool:
    """Return whether Headcount made what is at `path`, relative to the data folder; else the operator did."""
    first = path.partition("/")[0]
    return first in OWN or (first.startswith("headcount.") and first != "headcount.toml")


def is_written(path: str) -> bool:
    """Return whether the server writes to the file at `path`, or only reads it."""
    parts = path.split("/")
    return parts[0] != "host_keys" and not (
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


def tenant_of(path: str) -> str | None:
    """Return the tenant that a path in the data folder belongs to."""
    parts = path.split("/")
    return parts[1] if parts[0] == "tenants" and len(parts) > 1 else None


def entry_findings(
    faulty: Iterable[tuple[Seen, Fault]], data_dir: str, owner: str, names: Mapping[int, str]
) -> list[Finding]:
    """Return the findings about these entries, in the order of a walk: one for all of a tenant with the same fault.

    `owner` is the name of the user that owns the data folder, `names` are those of other users.
    """
    groups: dict[tuple[str, Fault, str], list[Seen]] = {}
    for seen, fault in faulty:
        together = fault in {Fault.FOREIGN, Fault.SHUT}
        groups.setdefault((_base(seen.path), fault, "" if together else seen.path), []).append(seen)
    return [_finding(base, fault, found, _Data(data_dir, owner, names)) for (base, fault, _), found in groups.items()]


@dataclass(frozen=True, slots=True)
class _Data:
    folder: str
    owner: str
    names: Mapping[int, str]


def _base(path: str) -> str:
    """Return the folder of the tenant, or the first name in the data folder; `headcount.*` has one base."""
    if path.startswith("headcount."):
        return ALL_DATABASE_FILES  # SQLite makes the files beside a database with the owner and mode of that
    return "/".join(path.split("/")[: 2 if path.startswith(("tenants/", "removed/")) else 1])


def _finding(base: str, fault: Fault, found: list[Seen], data: _Data) -> Finding:
    first = found[0]
    place = f"{data.folder}/{first.path}"
    name = shlex.quote(place)
    whole = f"{shlex.quote(data.folder)}/{base if base == ALL_DATABASE_FILES else shlex.quote(base)}"
    finding = Finding(tenant_of(first.path), place, Severity.WARNING, "", "")
    if fault is Fault.FOREIGN:
        other = data.names.get(first.owner, f"#{first.owner}")
        return replace(
            finding,
            severity=Severity.WARNING if all(each.usable for each in found) else Severity.ERROR,
            what=f"{place} belongs to the user {other}, not to {data.owner}{_further(found)}",
            do=f"As root, make {data.owner} the owner: chown -R {shlex.quote(data.owner)} {whole}",
        )
    if fault is Fault.SHUT:
        return replace(
            finding,
            severity=Severity.ERROR,
            what=f"{place} cannot be read or written by its owner (mode {first.mode:04o}){_further(found)}",
            do=f"Give its owner access: chmod -R u+rwX {whole}",
        )
    if fault is Fault.EXPOSED:
        return replace(
            finding,
            what=f"other users of this machine can open {place} (mode {first.mode:04o})",
            do=f"End their access: chmod -R go= {name}",
        )
    if fault is Fault.SPECIAL:
        return replace(
            finding,
            what=f"{place} is a device, a socket or a pipe",
            do=f"Remove it, because Headcount made no such file: rm {name}",
        )
    return replace(
        finding, what=f"{place} is a symbolic link, so no backup has what it names", do=_of_link(first, name)
    )


def _of_link(seen: Seen, name: str) -> str:
    inside = seen.path.split("/")[2:3] == ["files"]
    if seen.target is None or inside:
        return f"Remove the link: rm {name}"
    copy = f"rm {name} && cp -a {shlex.quote(seen.target)} {name}"
    return f"Stop the server, and put a copy in the place of the link: {copy}"


def _further(found: list[Seen]) -> str:
    return f"; the same holds for {counted(len(found) - 1, 'other entry', 'other entries')}" if len(found) > 1 else ""
