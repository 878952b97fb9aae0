"""The secret of a tenant's webhooks: made once, by whichever process needs it first, and renewed on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.signing import WebhookSecrets, key_of
from tests.support.engines import ENGINES, SECRETS, each_of

Anew = Callable[[], WebhookSecrets]


@pytest.fixture(params=each_of(SECRETS))
async def anew(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Anew]:
    """Yield a function that returns the secrets as another process has them."""
    for tenant in ("acme", "globex"):
        (tmp_path / tenant).mkdir()
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text("a secret of the tests, 32 bytes and more")
    async with ENGINES[request.param](tmp_path)("acme", "globex") as store:
        yield lambda: SECRETS[request.param](tmp_path, store)


async def test_a_secret_is_made_once_and_is_another_for_each_tenant(anew: Anew) -> None:
    first = await anew().webhook_secret("acme")
    assert len(key_of(first)) == 32
    assert await anew().webhook_secret("acme") == first
    assert await anew().webhook_secret("globex") != first


async def test_processes_that_need_the_first_secret_at_once_get_the_same(anew: Anew) -> None:
    assert len(set(await asyncio.gather(*(anew().webhook_secret("acme") for _ in range(8))))) == 1


async def test_a_renewed_secret_replaces_the_old_one(anew: Anew) -> None:
    before = anew()
    first, other = await before.webhook_secret("acme"), await before.webhook_secret("globex")
    renewed = await anew().renew_webhook_secret("acme")
    assert renewed != first
    assert (await before.webhook_secret("acme"), await before.webhook_secret("globex")) == (renewed, other)
    assert await anew().renew_webhook_secret("acme") not in {first, renewed}


async def test_a_secret_can_be_renewed_before_it_was_ever_used(anew: Anew) -> None:
    assert await anew().renew_webhook_secret("acme") == await anew().webhook_secret("acme")
