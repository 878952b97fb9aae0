"""The files of a tenant, as values that are the same wherever they are. Pure.

A file may have several names: its name that clients see, and that of the copy of an import. They are moved as one
file with these names, because the quota counts it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from importer.model import Written

KEPT = ("uploads", "messages", "runs")
"""The folders of a tenant with files that clients do not see."""
MADE = (b"results", b"test")
"""The folders that the server makes for every tenant."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A file or folder of a tenant. `same` is equal for all names of one file; a folder has None.

    `seen`: clients see it; then its path is theirs, without the slash at the beginning, and b"" is the folder of all.
    Otherwise it is the path in the tenant's folder. Times are in nanoseconds since 1970; those of a file that clients
    do not see mean nothing.
    """

    seen: bool
    path: bytes
    same: int | None = None
    size: int = 0
    accessed: int = 0
    modified: int = 0
    written: Written | None = None

    @property
    def is_folder(self) -> bool:
        return self.same is None

    @property
    def counts(self) -> bool:
        """Whether it counts against the quota: what the server makes does not."""
        return self.path not in MADE and not self.path.startswith(b"results/")


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of one file with all its names; `first` is one that clients see, if there is any."""

    first: Fact
    others: tuple[Fact, ...] = ()

    @property
    def names(self) -> tuple[Fact, ...]:
        return (self.first, *self.others)


def files_of(facts: Iterable[Fact]) -> list[File]:
    """Return the files among these, each with its names. In a folder, names of one file have the same times.

    So names that clients see with other times are files of their own.
    """
    found: dict[tuple[object, ...], list[Fact]] = {}
    hidden = []
    first_seen: dict[int, tuple[object, ...]] = {}
    for fact in sorted(facts, key=lambda each: each.path):
        if fact.same is None:
            continue
        if not fact.seen:
            hidden.append(fact)
            continue
        key = (fact.same, fact.modified, fact.written)
        first_seen.setdefault(fact.same, key)
        found.setdefault(key, []).append(fact)
    for fact in hidden:
        assert fact.same is not None
        found.setdefault(first_seen.get(fact.same, (fact.same,)), []).append(fact)
    return [File(names[0], tuple(names[1:])) for names in found.values()]


def folders_of(facts: Iterable[Fact]) -> list[Fact]:
    """Return the folders among these, each before those in it."""
    return sorted((fact for fact in facts if fact.is_folder), key=lambda each: each.path)


def described(facts: Iterable[Fact]) -> dict[tuple[bool, bytes], tuple[object, ...]]:
    """Return what has to be equal of each name at both places, beside the bytes; nothing of folders in MADE."""
    facts = list(facts)
    found: dict[tuple[bool, bytes], tuple[object, ...]] = {
        (True, fact.path): ("folder", fact.modified) for fact in folders_of(facts) if fact.path not in MADE
    }
    for file in files_of(facts):
        for fact in file.names:
            times = (fact.modified, fact.written) if fact.seen else ()
            found[fact.seen, fact.path] = ("file", fact.size, file.first.path, *times)
    return found


SHOWN = 3
"""The most paths or names in one sentence."""


def some(paths: Iterable[bytes]) -> str:
    """Return the first of these paths in order for a sentence, and how many more there are."""
    return some_of(path.decode(errors="backslashreplace") or "/" for path in paths)


def some_of(names: Iterable[str]) -> str:
    """Do the same with names."""
    ordered = sorted(names)
    more = f" and {len(ordered) - SHOWN:,} more" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + more


def unlike(here: Sequence[Fact], there: Sequence[Fact]) -> list[str]:
    """Return the paths of files and folders that differ, or are at one of both places only, in order."""
    mine, others = described(here), described(there)
    paths = {path for seen, path in mine.keys() | others.keys() if mine.get((seen, path)) != others.get((seen, path))}
    return [path.decode(errors="backslashreplace") or "/" for path in sorted(paths)]
