"""Secrets, as stored in a database: sealed. No engine can open them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class StoredHostKey:
    """A host key of the servers of one database: `public` as in a .pub file, without a comment."""

    name: str
    public: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value is stored. A tenant's secret has a tenant."""

    kind: Literal["proof", "host key", "secret"]
    name: str = ""
    tenant: str = ""


Reseal = Callable[[Place, bytes], bytes]
"""Returns a sealed value sealed anew, for the same place."""


class SecretStore(Protocol):
    """Host keys, the secrets of tenants, and a proof of the secret with which all of them are sealed."""

    async def proof(self, first: bytes) -> bytes:
        """Return the proof. If there is none, `first` becomes it; of several servers at once, that of one."""

    async def host_keys(self) -> list[StoredHostKey]:
        """Return the host keys, by name."""

    async def add_host_keys(self, keys: Iterable[StoredHostKey]) -> None:
        """Store those of `keys` whose names are new: if several servers do this at once, all keys of one."""

    async def find(self, tenant: str, name: str) -> bytes | None:
        """Return the secret of a tenant; None if there is none."""

    async def add(self, tenant: str, name: str, sealed: bytes) -> bytes | None:
        """Store a secret if there is none yet, and return the one that is stored; None if there is no such tenant."""

    async def put(self, tenant: str, name: str, sealed: bytes) -> bool:
        """Store a secret in place of any other. Return whether the tenant exists."""

    async def sealed(self) -> list[tuple[Place, bytes]]:
        """Return every sealed value with its place, the proof first; none in a database that no server has used."""

    async def reseal(self, reseal: Reseal) -> None:
        """Replace every sealed value by what `reseal` returns of it: all of them, or none if it raises."""
