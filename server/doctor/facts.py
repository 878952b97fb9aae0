"""The facts about a data folder that decide what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.doctor.entries import Fault, Seen


@dataclass(frozen=True, slots=True)
class Numbered:
    """Files of a folder that belong to imports, or to runs: their names by id. `last` is the highest id ever given.

    `ids` are the imports or runs that headcount.db has.
    """

    files: Mapping[int, list[str]]
    last: int
    ids: set[int]


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """The facts about a tenant, whose folder is at the path `folder`.

    `missing`: nothing is there. `broken` has the place and the reason why the folder cannot be used. `unusable_files`
    are the files that imports and runs need and cannot use, with reasons. `newest_import` is the highest id in
    users.db, and `outdated` the version of its schema if it is an older one. `index` is why the search index cannot
    be used. The numbered files are missing if headcount.db cannot say to what they belong.
    """

    folder: str
    missing: bool = False
    broken: tuple[str, str] | None = None
    unusable_files: tuple[tuple[str, str], ...] = ()
    newest_import: int = 0
    outdated: int | None = None
    index: str | None = None
    uploads: Numbered | None = None
    messages: Numbered | None = None
    runs: Numbered | None = None


@dataclass(frozen=True, slots=True)
class HostKeyFacts:
    """The facts about the host keys: `refused` has the reasons against some, by path.

    `lost` is the path of what a server had that ran: its folder or its Ed25519 key.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The free space of the disk; `why` is the reason why nothing can be stored."""

    why: str | None
    read_only: bool
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about the data folder at the path `data_dir`, whose data belongs to the user `owner`.

    `refused` is the reason why no server starts on it. `server_broken` is why headcount.db cannot be used, and
    `server_outdated` the version of its schema if it is an older one. `newest` is the time of the newest upload
    (RFC 3339). `strange` are the entries beside folders of tenants, and `unknown` folders of tenants without a row.
    `removed` has the reasons why the users.db of removed tenants cannot be used, by the paths of their folders.
    """

    data_dir: str
    owner: str
    users: Mapping[int, str] = field(default_factory=dict)
    refused: str | None = None
    server_broken: str | None = None
    server_outdated: int | None = None
    newest: str | None = None
    tenants: Mapping[str, TenantFacts] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    removed: Mapping[str, str] = field(default_factory=dict)
    host_keys: HostKeyFacts = HostKeyFacts()
    faulty: tuple[tuple[Seen, Fault], ...] = ()
    disk: DiskFacts | None = None
