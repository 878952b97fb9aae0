"""Secrets, host keys, marks and pauses in a database: the part of a `server.tenants.home.Home` that has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.marks import MarksAndPauses
from engine.shared.secrets import SecretStore
from server.tenants.shared.vault import Vault

if TYPE_CHECKING:
    from keys.host import HostKey


class SealedHome:
    """Values that a data folder has in small files. `secret_file` opens those that are sealed."""

    def __init__(self, secrets: SecretStore, marks: MarksAndPauses, secret_file: Path | None) -> None:
        self._vault = Vault(secrets, secret_file)
        self._marks = marks

    @property
    def secrets(self) -> Vault:
        return self._vault

    @property
    def marks(self) -> MarksAndPauses:
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
