"""The tenants, as stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant as stored. `created_at` is RFC 3339 in UTC."""

    name: str
    created_at: str
    last_import_id: int
    last_run_id: int = 0

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "created_at": self.created_at}


class TenantStore(Protocol):
    """The tenants of one server."""

    async def list(self) -> list[Tenant]:
        """Return all tenants, by name."""

    async def find(self, name: str) -> Tenant | None:
        """Return the tenant with this name; None if there is none."""

    async def add(self, tenant: Tenant) -> None:
        """Store a tenant whose name no other tenant has: it is on disk when this returns."""

    async def remove(self, name: str) -> None:
        """Remove a tenant with all its data here: imports, runs of hooks, tokens, messages, figures."""
