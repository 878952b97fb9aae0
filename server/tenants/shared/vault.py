"""Host keys and the secrets of tenants in a database, sealed with the operator's secret file.

A wrong secret file is noticed by the proof, a value that only the right secret opens. Nothing is made anew because it
cannot be opened: that would change the servers' identity silently.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.secrets import Place, SecretStore, StoredHostKey
from keys.errors import HostKeyRefused, NotOpened, SecretRefused
from keys.host import HostKey, in_order, missing_host_keys, private_part, read_host_key, shown_host_keys
from keys.sealing import Sealer, read_secret
from server.signing import new_secret
from server.tenants.settings import no_tenant

PROOF = Place("proof")
PROVEN = b"headcount"
WEBHOOKS = "webhooks"
"""The name of the secret that signs what a tenant's receivers get."""


class Vault:
    """The sealed values in `store`, and what opens them. See `open_vault`."""

    def __init__(self, store: SecretStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def host_keys(self) -> list[HostKey]:
        """Return the host keys, Ed25519 first; create the required ones. Raises HostKeyRefused."""
        stored = await self._store.host_keys()
        kinds = {each.public.partition(" ")[0] for each in stored}
        if new := await asyncio.to_thread(missing_host_keys, kinds):
            shown = shown_host_keys(new)
            sealed = (_seal(self._sealer, _place(key.name), private_part(key)) for key in new)
            await self._store.add_host_keys(
                [
                    StoredHostKey(key.name, each.public, value)
                    for key, each, value in zip(new, shown, sealed, strict=True)
                ]
            )
            stored = await self._store.host_keys()  # another server may have been first
        return in_order(map(self._opened, stored))

    async def webhook_secret(self, tenant: str) -> str:
        """Return the secret of the tenant's webhooks, which the first call creates.

        Raises SecretRefused, TenantRefused.
        """
        place = Place("secret", WEBHOOKS, tenant)
        sealed = await self._store.find(tenant, WEBHOOKS)
        if sealed is None:
            sealed = await self._store.add(tenant, WEBHOOKS, _seal(self._sealer, place, new_secret().encode()))
        if sealed is None:
            raise no_tenant(tenant)
        try:
            return _open(self._sealer, place, sealed).decode()
        except NotOpened:
            raise SecretRefused(
                f"the secret of the webhooks of {tenant} cannot be opened: its row in the database was changed or "
                f"moved. To make a new one: headcount notify secret {tenant} --renew"
            ) from None

    async def renew_webhook_secret(self, tenant: str) -> str:
        """Replace the secret of the tenant's webhooks, and return the new one. Raises TenantRefused."""
        secret, place = new_secret(), Place("secret", WEBHOOKS, tenant)
        if not await self._store.put(tenant, WEBHOOKS, _seal(self._sealer, place, secret.encode())):
            raise no_tenant(tenant)
        return secret

    def _opened(self, stored: StoredHostKey) -> HostKey:
        try:
            private = _open(self._sealer, _place(stored.name), stored.sealed)
        except NotOpened:
            raise HostKeyRefused(
                f"the host key {stored.name} cannot be opened: its row in the database was changed or moved. Restore "
                "the table host_keys from a backup of the database"
            ) from None
        return read_host_key(stored.name, private)


async def open_vault(store: SecretStore, secret_file: Path) -> Vault:
    """Return the vault of a database, with the secret in this file. Raises SecretRefused for a wrong or bad file."""
    sealer = Sealer(await asyncio.to_thread(read_secret, secret_file))
    try:
        _open(sealer, PROOF, await store.proof(_seal(sealer, PROOF, PROVEN)))
    except NotOpened:
        raise SecretRefused(
            f"{secret_file} is not the secret file with which the keys in the database were sealed: use that file"
        ) from None
    return Vault(store, sealer)


async def change_secret(store: SecretStore, old_file: Path, new_file: Path) -> None:
    """Seal everything anew, with the secret in `new_file`: all or nothing. No server may run meanwhile.

    Raises SecretRefused if `old_file` is not the secret file of the database, or a value cannot be opened.
    """
    await open_vault(store, old_file)
    old, new = [Sealer(await asyncio.to_thread(read_secret, file)) for file in (old_file, new_file)]

    def reseal(place: Place, sealed: bytes) -> bytes:
        try:
            return _seal(new, place, _open(old, place, sealed))
        except NotOpened:
            what = " ".join(filter(None, (place.kind, place.name, place.tenant)))
            raise SecretRefused(f"a row of the database cannot be opened ({what}): nothing was changed") from None

    await store.reseal(reseal)


def _place(host_key: str) -> Place:
    return Place("host key", host_key)


def _seal(sealer: Sealer, place: Place, value: bytes) -> bytes:
    return sealer.seal(value, place.kind, place.name, place.tenant)


def _open(sealer: Sealer, place: Place, sealed: bytes) -> bytes:
    return sealer.open(sealed, place.kind, place.name, place.tenant)
