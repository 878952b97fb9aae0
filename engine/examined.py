"""The facts about a database of PostgreSQL that decide what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that has been open for `age_s`. `number` is its process, None if it is a prepared one: `name`."""

    number: int | None
    name: str
    user: str
    age_s: float


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The facts about the server and the database.

    `versions` are those of the parts of the schema; none: it has no tables of Headcount. `ahead_s`: how far the clock
    of the server is ahead of the one of this machine. `used` of `most` connections are open, as far as this user may
    open them.
    """

    versions: Mapping[str, int]
    encoding: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ahead_s: float = 0.0
    used: int = 0
    most: int = 0
    open: tuple[OpenTransaction, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a tenant: `kept` for imports and runs, by its path, or visible, by its name. It is this `content`.

    `object` is the key of its object outside of the database, if it has one.
    """

    tenant: str
    path: str
    content: int
    kept: bool
    object: str | None = None


@dataclass(frozen=True, slots=True)
class Needed:
    """A kept file that an import (`of`: "import 7") or a run still reads; None: there is no such file.

    `sizes` differ if it is not the file that was uploaded.
    """

    tenant: str
    path: str
    of: str
    stored_size: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Counted:
    """The use of a tenant's quota: as it is stored, and as its files add up to."""

    tenant: str
    number: int
    stored: tuple[int, int]
    true: tuple[int, int]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts about files: those with bytes that are missing, those that changed, and those that are not there."""

    incomplete: tuple[StoredFile, ...] = ()
    changed: tuple[StoredFile, ...] = ()
    needed: tuple[Needed, ...] = ()
    miscounted: tuple[Counted, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """The facts about the objects of files at `where`: why they cannot be used, or the files without their bytes.

    `overdue` objects should have been deleted a day ago, and were not. `refused`: why they take no new token.
    """

    where: str
    why: str | None = None
    incomplete: tuple[StoredFile, ...] = ()
    overdue: int = 0
    refused: str | None = None
