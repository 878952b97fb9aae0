"""Access tokens: shown once, stored as a hash, and useless when revoked, expired or when their tenant is removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.store import Store
from engine.tokens import Role
from server.tenants.settings import TenantRefused
from server.tenants.tokens import Tokens

NOW = datetime.now(UTC)


@pytest.fixture
def tokens(store: Store) -> Tokens:
    return Tokens(store.tokens())


async def test_a_token_has_its_tenant_and_role(tokens: Tokens) -> None:
    token, text = await tokens.create("acme", Role.VIEWER)
    assert await tokens.find(text, NOW) == token
    assert (token.tenant, token.role, token.expires_at) == ("acme", Role.VIEWER, None)
    assert await tokens.list() == [token]


@pytest.mark.parametrize("text", ["", "hc_", "hc_nonsense", "\ud800"])
async def test_an_unknown_token_opens_nothing(tokens: Tokens, text: str) -> None:
    await tokens.create(None, Role.OPERATOR)
    assert await tokens.find(text, NOW) is None


async def test_a_revoked_token_opens_nothing(tokens: Tokens) -> None:
    token, text = await tokens.create(None, Role.OPERATOR)
    await tokens.revoke(token.id)
    assert await tokens.find(text, NOW) is None
    with pytest.raises(TenantRefused):
        await tokens.revoke(token.id)


async def test_a_token_opens_until_its_expiry(tokens: Tokens) -> None:
    day = (NOW + timedelta(days=1)).date()
    _, text = await tokens.create("acme", Role.OWNER, day.isoformat())
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    assert await tokens.find(text, end - timedelta(seconds=1)) is not None
    assert await tokens.find(text, end) is None


@pytest.mark.parametrize("expires", ["2020-01-01", "soon"])
async def test_a_past_or_invalid_expiry_is_refused(tokens: Tokens, expires: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        await tokens.create("acme", Role.OWNER, expires)
    assert caught.value.code == "bad_expiry"


async def test_the_tokens_of_a_removed_tenant_open_nothing(store: Store, tokens: Tokens) -> None:
    _, text = await tokens.create("acme", Role.OWNER)
    await store.tenants().remove("acme")
    assert await tokens.find(text, NOW) is None


async def test_a_token_for_an_unknown_tenant_is_refused(tokens: Tokens) -> None:
    with pytest.raises(TenantRefused) as caught:
        await tokens.create("initech", Role.OWNER)
    assert caught.value.code == "no_tenant"


async def test_a_token_is_stored_by_its_hash_and_not_for_an_unknown_tenant(store: Store) -> None:
    kept = store.tokens()
    at = "2026-03-01T12:00:00.000Z"
    token = await kept.add(b"1", "acme", Role.OWNER, created_at=at, expires_at=at, comment="Ann")
    assert token
    assert await kept.find(b"1") == token
    assert (token.created_at, token.expires_at, token.comment) == (at, at, "Ann")
    assert await kept.add(b"2", "initech", Role.OWNER, created_at=at, expires_at=None, comment="") is None
    assert await kept.list() == [token]
