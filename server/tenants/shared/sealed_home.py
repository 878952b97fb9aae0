"""Secrets, host keys, marks and pauses in a database: the part of a `server.tenants.home.Home` that has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.postgres.server.marks import PostgresMarkStore
from engine.postgres.store import PostgresStore
from server.tenants.shared.vault import Vault

if TYPE_CHECKING:
    from keys.host import HostKey


class SealedHome:
    """Rows in `store` instead of small files. `secret_file` opens those that are sealed."""

    def __init__(self, store: PostgresStore, secret_file: Path | None) -> None:
        self._vault = Vault(store.secrets(), secret_file)
        self._marks = store.marks()

    @property
    def secrets(self) -> Vault:
        return self._vault

    @property
    def marks(self) -> PostgresMarkStore:
        return self._marks

    async def host_keys(self) -> Sequence[HostKey]:
        return await self._vault.host_keys()

    async def perhaps_paused(self, names: Sequence[str]) -> Sequence[str]:
        paused = await self._marks.paused() if names else set()
        return [name for name in names if name in paused]

    async def note_pause(self, name: str) -> None:
        """Do nothing: the settings are asked."""

    async def end_pause(self, name: str) -> None:
        """Do nothing: the settings are asked."""
