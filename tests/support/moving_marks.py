"""Places of a move with their marks in memory: what is marked at each moment, without the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.tenants import Tenant
from importer.errors import TryAgain
from server.tenants.moves import SOURCE, TARGET, Move


class Marks(dict[str, str]):
    """An `engine.marks.MarkStore` in memory."""

    async def has(self, name: str) -> bool:
        return name in self

    async def find(self, name: str) -> str | None:
        return self.get(name)

    async def put(self, name: str, text: str) -> None:
        self[name] = text

    async def add(self, name: str, text: str) -> bool:
        return self.setdefault(name, text) is text

    async def swap(self, name: str, old: str, new: str | None) -> bool:
        if self.get(name) != old:
            return False
        await (self.drop(name) if new is None else self.put(name, new))
        return True

    async def drop(self, name: str) -> None:
        self.pop(name, None)


@dataclass
class Tables:
    """An `engine.moving.stored.StoredTables` without tenants, as far as marks and sign-ins are concerned.

    On a `full` disk, no sign-in can be ended.
    """

    signed_in: bool = True
    full: bool = False

    async def tenants(self) -> list[Tenant]:
        return []

    async def end_sign_ins(self) -> None:
        if self.full:
            raise TryAgain("disk_full", "the disk of the server is full")
        self.signed_in = False


@dataclass
class Place:
    """A place, as far as marks are concerned. `runs` has the answers about its server; then none runs.

    `looked` is called each time it is asked whether it is empty.
    """

    name: str
    marks: Marks = field(default_factory=Marks)
    runs: list[bool] = field(default_factory=list)
    empty: bool = True
    looked: Callable[[], None] = lambda: None
    tables: Tables = field(default_factory=Tables)

    def marked(self, **moves: Move) -> Place:
        self.marks.update(
            {{"source": SOURCE, "target": TARGET}[kind]: move.to_text() for kind, move in moves.items()}
        )
        return self

    async def server_runs(self) -> bool:
        return self.runs.pop(0) if self.runs else False

    async def open_secrets(self) -> None:
        pass

    async def is_empty(self) -> bool:
        was = self.empty
        self.looked()
        return was
