"""Host keys and secrets in PostgreSQL: one set for all servers, and of no use without the secret file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.postgres.database import Database, pooled
from engine.postgres.server.tenants import PostgresTenantStore
from engine.postgres.shared.secrets import PostgresSecretStore
from engine.tenants import Tenant
from ground.waits import Growing
from importer.queue.notices import Channel, Notice
from keys.errors import HostKeyRefused, SecretRefused
from keys.host import HostKey, shown_host_keys
from keys.sealing import Sealer, read_secret
from server.guarded import Poster
from server.notify.courier import Courier
from server.notify.outbox import Outbox
from server.notify.retries import Retries
from server.notify.webhooks import Webhooks
from server.runs.ends import Again, Done
from server.runs.outside.posting import UrlHook
from server.tenants.settings import TenantRefused, TenantSettings
from server.tenants.shared.vault import Vault, change_secret
from server.upkeep.metrics import Metrics
from tests.support.attempts import attempt_of
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.queues import open_house
from tests.support.waiting import eventually
from tests.support.webhost import WebHost

pytestmark = needs(POSTGRES)

SecretFile = Callable[[str], Path]


@pytest.fixture
def secret_file(tmp_path: Path) -> SecretFile:
    """Return the function that makes a secret file, or returns the one that it made before."""

    def made(name: str = "secret") -> Path:
        path = tmp_path / name
        if not path.exists():
            path.touch(0o600)
            path.write_text(f"the {name} of the tests, which no one knows")
        return path

    return made


@pytest.fixture
async def store(database: Database) -> PostgresSecretStore:
    """Return the secrets of a database with the tenants `acme` and `globex`."""
    for name in ("acme", "globex"):
        await PostgresTenantStore(database).add(Tenant(name, SINCE, 0))
    return PostgresSecretStore(database)


@pytest.fixture
def vault(store: PostgresSecretStore, secret_file: SecretFile) -> Vault:
    return Vault(store, secret_file())


def shown(keys: list[HostKey]) -> list[str]:
    return [each.fingerprint for each in shown_host_keys(keys)]


async def test_the_first_server_makes_an_ed25519_and_an_rsa_key_and_later_ones_use_them(
    vault: Vault, store: PostgresSecretStore, secret_file: SecretFile
) -> None:
    keys = await vault.host_keys()
    assert [key.kind for key in keys] == ["ssh-ed25519", "ssh-rsa"]
    again = await Vault(store, secret_file()).host_keys()
    assert shown(again) == shown(keys)
    assert [each.public for each in await store.host_keys()] == [each.public for each in shown_host_keys(keys)]


async def test_servers_that_start_at_once_have_the_same_host_keys(url: str, secret_file: SecretFile) -> None:
    async with AsyncExitStack() as stack:
        stores = [PostgresSecretStore(await stack.enter_async_context(pooled(url, most=1))) for _ in range(4)]

        async def start(store: PostgresSecretStore) -> list[str]:
            return shown(await Vault(store, secret_file()).host_keys())

        found = await asyncio.gather(*map(start, stores))
        assert found == [found[0]] * 4
        assert len(await stores[0].host_keys()) == 2


async def test_another_secret_file_is_refused_and_makes_no_host_keys(
    vault: Vault, store: PostgresSecretStore, secret_file: SecretFile
) -> None:
    await vault.open()
    with pytest.raises(SecretRefused, match="other is not the secret file"):
        await Vault(store, secret_file("other")).host_keys()
    before = await vault.host_keys()
    with pytest.raises(SecretRefused, match="other is not the secret file"):
        await Vault(store, secret_file("other")).host_keys()
    assert shown(await vault.host_keys()) == shown(before)


async def test_host_keys_that_cannot_be_opened_are_refused_and_not_replaced(
    vault: Vault, store: PostgresSecretStore, database: Database, secret_file: SecretFile
) -> None:
    before = shown(await vault.host_keys())
    await database.change("DELETE FROM proof")
    other = Vault(store, secret_file("other"))
    with pytest.raises(HostKeyRefused, match="cannot be opened"):
        await other.host_keys()
    assert shown(await vault.host_keys()) == before


async def test_a_host_key_under_another_name_is_refused(vault: Vault, database: Database) -> None:
    await vault.host_keys()
    await database.change("UPDATE host_keys SET name = 'ssh_host_old' WHERE name LIKE '%rsa%'")
    with pytest.raises(HostKeyRefused, match="the host key ssh_host_old cannot be opened"):
        await vault.host_keys()


async def test_a_secret_moved_to_another_tenant_is_refused(vault: Vault, database: Database) -> None:
    await vault.webhook_secret("acme")
    await database.change("UPDATE secrets SET tenant_id = (SELECT id FROM tenants WHERE name = 'globex')")
    with pytest.raises(SecretRefused, match="the secret of the webhooks of globex cannot be opened"):
        await vault.webhook_secret("globex")
    renewed = await vault.renew_webhook_secret("globex")
    assert await vault.webhook_secret("globex") == renewed


async def test_a_tenant_that_does_not_exist_has_no_secret(vault: Vault) -> None:
    for call in (vault.webhook_secret, vault.renew_webhook_secret):
        with pytest.raises(TenantRefused, match="there is no tenant initech"):
            await call("initech")


async def test_no_table_and_no_repr_has_a_secret_that_can_be_read(
    vault: Vault, store: PostgresSecretStore, database: Database, secret_file: SecretFile
) -> None:
    keys, secret = await vault.host_keys(), await vault.webhook_secret("acme")
    rows = [
        row for table in ("host_keys", "secrets", "proof") for row in await database.read(f"SELECT * FROM {table}")
    ]
    stored = b"".join(bytes(value) for row in rows for value in row if isinstance(value, bytes | memoryview))
    assert len(stored) > 1000
    said = repr((vault, keys, await store.host_keys(), Sealer(read_secret(secret_file()))))
    for private in (b"PRIVATE KEY", secret.encode(), b"no one knows"):
        assert private not in stored
        assert private.decode() not in said


async def test_everything_opens_with_the_new_secret_file_after_a_change(
    vault: Vault, store: PostgresSecretStore, secret_file: SecretFile
) -> None:
    keys, secret = shown(await vault.host_keys()), await vault.webhook_secret("acme")
    await change_secret(store, secret_file(), secret_file("new"))
    after = Vault(store, secret_file("new"))
    assert (shown(await after.host_keys()), await after.webhook_secret("acme")) == (keys, secret)
    with pytest.raises(SecretRefused, match="is not the secret file"):
        await Vault(store, secret_file()).open()


async def test_a_change_of_the_secret_changes_nothing_if_a_row_cannot_be_opened(
    vault: Vault, store: PostgresSecretStore, database: Database, secret_file: SecretFile
) -> None:
    keys = shown(await vault.host_keys())
    await vault.webhook_secret("acme")
    await database.change("UPDATE secrets SET name = 'another'")
    with pytest.raises(SecretRefused, match="the secret of the another of acme in the database cannot be opened"):
        await change_secret(store, secret_file(), secret_file("new"))
    assert shown(await Vault(store, secret_file()).host_keys()) == keys


async def test_nothing_is_sent_while_its_secret_cannot_be_opened(
    vault: Vault, database: Database, tmp_path: Path
) -> None:
    await vault.webhook_secret("acme")
    await database.change("UPDATE secrets SET sealed = sealed || '\\x00'")
    with WebHost() as web:
        async with open_house(tmp_path, "acme") as house:
            outbox = Outbox(house.store.outbox(), retries=Retries(Growing(0.02, 0.02), tries=1000))
            await outbox.put([Notice("acme", Channel.WEBHOOK, "import 1", '{"type": "import.completed"}')])
            attempt = attempt_of(tmp_path, b"a")
            hook = UrlHook(web.url, Poster(allow_private=True), vault, 5)
            settings = TenantSettings(notify_webhook=web.url)
            courier = Courier(
                outbox, lambda _: asyncio.sleep(0, settings), vault, None, Webhooks(allow_private=True), Metrics()
            )
            courier.start()

            async def failed() -> bool:
                return "cannot be opened" in str((await outbox.newest("acme", 1))[0].error)

            await eventually(failed)
            end = await hook.deliver(attempt)
            assert isinstance(end, Again)
            assert "cannot be opened" in str(end.error)
            assert web.calls == []
            await vault.renew_webhook_secret("acme")
            await eventually(lambda: web.calls)
            assert isinstance(await hook.deliver(attempt), Done)
            await courier.stop(5)
