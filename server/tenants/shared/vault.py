"""Host keys and the secrets of tenants in a database, sealed with the operator's secret file.

A wrong secret file is noticed by the proof, a value that only the right secret opens. Nothing is made anew because it
cannot be opened: that would change the servers' identity silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.shared.secrets import Place, SecretStore, StoredHostKey
from keys.errors import HostKeyRefused, NotOpened, SecretRefused
from keys.sealing import Sealer, read_secret
from server.signing import new_secret
from server.tenants.settings import no_tenant

if TYPE_CHECKING:
    from keys.host import HostKey

PROOF = Place("proof")
PROVEN = b"headcount"
WEBHOOKS = "webhooks"
"""The name of the secret that signs what a tenant's receivers get."""


NO_FILE = (
    "the database seals its secrets with a secret file, and none is named. Make one for a new database: "
    "(umask 077; head -c 32 /dev/urandom > FILE). Keep a copy of it. Then name it in HEADCOUNT_SECRET_KEY_FILE"
)


class Vault:
    """The sealed values in `store`. The first use reads the secret file, so other commands need none.

    Every method raises SecretRefused for a bad or wrong file.
    """

    def __init__(self, store: SecretStore, secret_file: Path | None) -> None:
        self._store = store
        self._secret_file = secret_file
        self._sealer: Sealer | None = None

    async def open(self) -> Sealer:
        """Return the sealer of the database: with the right secret file, as the proof shows."""
        if self._sealer is None:
            if self._secret_file is None:
                raise SecretRefused(NO_FILE)
            sealer = Sealer(await asyncio.to_thread(read_secret, self._secret_file))
            try:
                _open(sealer, PROOF, await self._store.proof(_seal(sealer, PROOF, PROVEN)))
            except NotOpened:
                raise SecretRefused(
                    f"{self._secret_file} is not the secret file with which the keys in the database were sealed: "
                    "use that file"
                ) from None
            self._sealer = sealer
        return self._sealer

    async def host_keys(self) -> list[HostKey]:
        """Return the host keys, Ed25519 first; create the required ones. Raises HostKeyRefused."""
        # Imported here: it takes 0.25 s, which commands should not spend.
        from keys.host import in_order, missing_host_keys

        sealer = await self.open()
        stored = await self._store.host_keys()
        kinds = {each.public.partition(" ")[0] for each in stored}
        if new := await asyncio.to_thread(missing_host_keys, kinds):
            await self.put_host_keys(new)
            stored = await self._store.host_keys()  # another server may have been first
        return in_order(_opened(sealer, each) for each in stored)

    async def kept_host_keys(self) -> list[HostKey]:
        """Return the host keys as `host_keys` does, but create none."""
        from keys.host import in_order

        stored = await self._store.host_keys()
        if not stored:
            return []
        sealer = await self.open()
        return in_order(_opened(sealer, each) for each in stored)

    async def put_host_keys(self, keys: Iterable[HostKey]) -> None:
        """Store these keys; one whose name is stored stays as it is."""
        from keys.host import private_part, shown_host_keys

        if not (keys := list(keys)):
            return
        sealer = await self.open()
        await self._store.add_host_keys(
            StoredHostKey(key.name, shown.public, _seal(sealer, _place(key.name), private_part(key)))
            for key, shown in zip(keys, shown_host_keys(keys), strict=True)
        )

    async def kept_webhook_secret(self, tenant: str) -> str | None:
        """Return the secret of the tenant's webhooks; None if there is none."""
        return await self.webhook_secret(tenant) if await self._store.find(tenant, WEBHOOKS) else None

    async def webhook_secret(self, tenant: str) -> str:
        """Return the secret of the tenant's webhooks, which the first call creates.

        Raises TenantRefused.
        """
        sealer, place = await self.open(), Place("secret", WEBHOOKS, tenant)
        sealed = await self._store.find(tenant, WEBHOOKS)
        if sealed is None:
            sealed = await self._store.add(tenant, WEBHOOKS, _seal(sealer, place, new_secret().encode()))
        if sealed is None:
            raise no_tenant(tenant)
        try:
            return _open(sealer, place, sealed).decode()
        except NotOpened:
            raise SecretRefused(
                f"the secret of the webhooks of {tenant} cannot be opened: its row in the database was changed or "
                f"moved. To make a new one: headcount notify secret {tenant} --renew"
            ) from None

    async def renew_webhook_secret(self, tenant: str) -> str:
        """Replace the secret of the tenant's webhooks, and return the new one. Raises TenantRefused."""
        secret = new_secret()
        await self.put_webhook_secret(tenant, secret)
        return secret

    async def put_webhook_secret(self, tenant: str, secret: str) -> None:
        """Store a secret in place of any other. Raises TenantRefused."""
        sealer, place = await self.open(), Place("secret", WEBHOOKS, tenant)
        if not await self._store.put(tenant, WEBHOOKS, _seal(sealer, place, secret.encode())):
            raise no_tenant(tenant)


async def change_secret(store: SecretStore, old_file: Path | None, new_file: Path) -> bool:
    """Seal everything anew, with the secret in `new_file`: all or nothing. No server may run meanwhile.

    Return False if that was done before: the values are sealed with `new_file`. Raises SecretRefused if neither file
    is the secret file of the database, or a value cannot be opened.
    """
    new = Sealer(await asyncio.to_thread(read_secret, new_file))
    proof = next((sealed for place, sealed in await store.sealed() if place == PROOF), None)
    if proof is not None and _opens(new, PROOF, proof):
        return False
    old = await Vault(store, old_file).open()

    def reseal(place: Place, sealed: bytes) -> bytes:
        try:
            return _seal(new, place, _open(old, place, sealed))
        except NotOpened:
            raise SecretRefused(f"{_what(place)} in the database cannot be opened: nothing was changed") from None

    await store.reseal(reseal)
    return True


async def unopened(store: SecretStore, secret_file: Path | None) -> list[str]:
    """Return why sealed values cannot be opened, as `what: what to do`; none if all can. Changes nothing."""
    stored = await store.sealed()
    if not stored or stored[0][0] != PROOF:  # no server has used the database yet
        return []
    if secret_file is None:
        return ["the keys in the database need their secret file: name it in HEADCOUNT_SECRET_KEY_FILE"]
    try:
        sealer = await Vault(store, secret_file).open()
    except SecretRefused as error:
        return [str(error)]
    return [
        f"{_what(place)} cannot be opened, because its row in the database was changed or moved: {_instead(place)}"
        for place, sealed in stored
        if not _opens(sealer, place, sealed)
    ]


def _what(place: Place) -> str:
    if place.kind == "secret":
        return f"the secret of the {place.name} of {place.tenant}"
    return f"the {place.kind} {place.name}".rstrip()


def _instead(place: Place) -> str:
    if place.kind == "secret":
        return f"make a new one: headcount notify secret {place.tenant} --renew"
    return "restore the table host_keys from a backup of the database"


def _opens(sealer: Sealer, place: Place, sealed: bytes) -> bool:
    try:
        _open(sealer, place, sealed)
    except NotOpened:
        return False
    return True


def _opened(sealer: Sealer, stored: StoredHostKey) -> HostKey:
    from keys.host import read_host_key

    try:
        private = _open(sealer, _place(stored.name), stored.sealed)
    except NotOpened:
        raise HostKeyRefused(
            f"the host key {stored.name} cannot be opened: its row in the database was changed or moved. Restore "
            "the table host_keys from a backup of the database"
        ) from None
    return read_host_key(stored.name, private)


def _place(host_key: str) -> Place:
    return Place("host key", host_key)


def _seal(sealer: Sealer, place: Place, value: bytes) -> bytes:
    return sealer.seal(value, place.kind, place.name, place.tenant)


def _open(sealer: Sealer, place: Place, sealed: bytes) -> bytes:
    return sealer.open(sealed, place.kind, place.name, place.tenant)
