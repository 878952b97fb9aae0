"""Access tokens: shown once, stored as a hash, and useless when revoked, expired or when their tenant is removed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.store import Store
from engine.tenants import Tenant
from engine.tokens import Role, Token, TooMany
from server.tenants.access.tokens import TOKENS_MOST, FormOutdated, Tokens, is_last_owner
from server.tenants.settings import TenantRefused

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


async def test_the_tokens_of_a_tenant_are_listed_apart_from_those_of_operators(store: Store) -> None:
    await store.tenants().add(Tenant("other", "2026-01-01T00:00:00.000Z", 0))
    kept = Tokens(store.tokens())
    made = {tenant: (await kept.create(tenant, role))[0] for tenant, role in OF_ALL}
    assert {tenant: await store.tokens().of(tenant) for tenant in made} == {key: [made[key]] for key in made}


OF_ALL = (("acme", Role.OWNER), ("other", Role.VIEWER), (None, Role.OPERATOR))


async def test_tokens_are_found_by_their_address(store: Store, tokens: Tokens) -> None:
    token, _ = await tokens.create("acme", Role.OWNER, email=" Ann@ACME.example ")
    await tokens.create("acme", Role.OWNER, email="bo@acme.example")
    await tokens.create("acme", Role.OWNER)
    assert token.email == "ann@acme.example"
    assert await store.tokens().with_email("ann@acme.example") == [token]
    assert await tokens.valid_with("ANN@acme.example", NOW) == [token]
    for none in ("", " ", "ann", "an@acme.example", "ann@acme.example.org"):
        assert not await tokens.valid_with(none, NOW)


async def test_an_expired_token_is_not_found_by_its_address(tokens: Tokens) -> None:
    await tokens.create("acme", Role.OWNER, (NOW + timedelta(days=1)).isoformat(), email="ann@acme.example")
    assert await tokens.valid_with("ann@acme.example", NOW)
    assert not await tokens.valid_with("ann@acme.example", NOW + timedelta(days=2))


async def test_a_token_is_changed_within_its_tenant(store: Store, tokens: Tokens) -> None:
    operator, _ = await tokens.create(None, Role.OPERATOR)
    token, text = await tokens.create("acme", Role.OWNER, comment="Ann", email="ann@acme.example")
    changed = await tokens.edit(operator, "acme", token.id, comment="Ann Lee")
    assert changed == replace(token, comment="Ann Lee") == await tokens.find(text, NOW)
    changed = await tokens.edit(operator, "acme", token.id, role=Role.VIEWER, email="BO@acme.example")
    assert changed == replace(token, comment="Ann Lee", role=Role.VIEWER, email="bo@acme.example")
    assert (await tokens.edit(operator, "acme", token.id, email="")).email is None
    assert await store.tokens().edit(99, lambda token, _: token) is None
    before = await tokens.list()
    for tenant, number in (("other", token.id), (None, token.id), ("acme", 99)):
        with pytest.raises(TenantRefused, match="there is no token"):
            await tokens.edit(operator, tenant, number, comment="x")
    for wrong in ({"comment": "a\nb"}, {"email": "ann"}):
        with pytest.raises(TenantRefused):
            await tokens.edit(operator, "acme", token.id, **wrong)
    assert await tokens.list() == before


async def test_a_fact_that_is_as_shown_keeps_the_newer_change(tokens: Tokens) -> None:
    operator, _ = await tokens.create(None, Role.OPERATOR)
    token, _ = await tokens.create("acme", Role.VIEWER, comment="Ann", email="old@acme.example")
    shown = {"comment": "Ann", "role": "viewer", "email": "old@acme.example"}
    form: dict[str, Any] = {"comment": "Ann", "role": Role.VIEWER, "email": "Old@acme.example", "shown": shown}
    newer = await tokens.edit(operator, "acme", token.id, role=Role.OWNER, email="new@acme.example")
    assert await tokens.edit(operator, "acme", token.id, **form) == newer
    assert await tokens.edit(operator, "acme", token.id, **form | {"comment": "Bo"}) == replace(newer, comment="Bo")


@pytest.mark.parametrize(
    ("newer", "typed"),
    [
        ({"comment": "Ann Lee"}, {"comment": "Bo"}),
        ({"comment": ""}, {"comment": "Bo", "email": "bo@acme.example"}),
        ({"email": "new@acme.example"}, {"email": "bo@acme.example"}),
        ({"email": "new@acme.example"}, {"email": ""}),
        ({"email": ""}, {"email": "bo@acme.example"}),
    ],
)
async def test_a_newer_change_of_a_fact_is_not_overwritten_unseen(
    tokens: Tokens, newer: dict[str, Any], typed: dict[str, Any]
) -> None:
    operator, _ = await tokens.create(None, Role.OPERATOR)
    token, _ = await tokens.create("acme", Role.OWNER, comment="Ann", email="old@acme.example")
    shown = {"comment": "Ann", "role": "owner", "email": "old@acme.example"}
    now = await tokens.edit(operator, "acme", token.id, **newer)
    with pytest.raises(FormOutdated) as caught:
        await tokens.edit(operator, "acme", token.id, **typed, shown=shown)
    assert (caught.value.now, [*caught.value.changed], [*caught.value.overwritten]) == (now, [*typed], [*newer])
    assert await tokens.show("acme", token.id) == now
    assert await tokens.edit(operator, "acme", token.id, **newer, shown=shown) == now, "both typed the same"
    seen = {"comment": now.comment, "role": now.role.value, "email": now.email}
    changed = await tokens.edit(operator, "acme", token.id, **typed, shown=seen)
    assert changed == replace(now, **{name: value or None for name, value in typed.items()})


async def test_only_the_operator_makes_the_last_owner_a_viewer(tokens: Tokens) -> None:
    operator, _ = await tokens.create(None, Role.OPERATOR)
    owner, _ = await tokens.create("acme", Role.OWNER)
    assert await tokens.edit(owner, "acme", owner.id, role=Role.OWNER, comment="Ann")
    with pytest.raises(TenantRefused) as caught:
        await tokens.edit(owner, "acme", owner.id, role=Role.VIEWER, comment="Bo")
    assert caught.value.code == "last_owner"
    assert (await tokens.show("acme", owner.id)).comment == "Ann"
    assert (await tokens.edit(operator, "acme", owner.id, role=Role.VIEWER)).role is Role.VIEWER


async def test_a_token_stays_if_its_check_refuses(store: Store, tokens: Tokens) -> None:
    token, other = [(await tokens.create("acme", Role.OWNER))[0] for _ in range(2)]
    await tokens.create(None, Role.OPERATOR)
    seen: list[object] = []

    def refuse(found: Token, others: Sequence[Token]) -> None:
        seen.extend((found, *others))
        raise TenantRefused("last_owner", "it stays")

    with pytest.raises(TenantRefused, match="it stays"):
        await store.tokens().remove(token.id, refuse)
    assert seen == [token, other]
    assert await tokens.of("acme") == [token, other]
    assert await store.tokens().remove(token.id) == token


async def test_only_the_operator_revokes_the_last_valid_owners_token(tokens: Tokens) -> None:
    operator, _ = await tokens.create(None, Role.OPERATOR)
    owner, _ = await tokens.create("acme", Role.OWNER)
    viewer, _ = await tokens.create("acme", Role.VIEWER)
    with pytest.raises(TenantRefused) as caught:
        await tokens.revoke_for(owner, "acme", owner.id)
    assert caught.value.code == "last_owner"
    for number in (viewer.id, owner.id):
        by = owner if number == viewer.id else operator
        assert (await tokens.revoke_for(by, "acme", number)).id == number


def test_an_expired_owners_token_counts_as_none() -> None:
    def owner(number: int, expires_at: str | None) -> Token:
        return Token(number, "acme", Role.OWNER, "2026-01-01T00:00:00.000Z", expires_at)

    valid, expired = owner(1, None), owner(2, "2026-01-02T00:00:00.000Z")
    assert is_last_owner(valid, [expired], NOW)
    assert not is_last_owner(expired, [], NOW)
    assert not is_last_owner(valid, [owner(3, None)], NOW)


@pytest.mark.parametrize(("days", "last"), [(29, True), (31, False)])
def test_an_owners_token_that_expires_soon_is_not_another_one(days: int, last: bool) -> None:
    soon = Token(2, "acme", Role.OWNER, AT, (NOW + timedelta(days=days)).isoformat())
    assert is_last_owner(Token(1, "acme", Role.OWNER, AT, None), [soon], NOW) is last


@pytest.mark.parametrize("email", ["=?utf-8?q?x?=@x.com", "a@x.com\r\nBcc: b@x.com"])
async def test_an_address_to_which_no_mail_can_go_is_refused(tokens: Tokens, email: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        await tokens.create("acme", Role.OWNER, email=email)
    assert caught.value.code == "bad_email"
    assert not await tokens.valid_with(email, NOW)


async def test_the_id_of_a_revoked_token_is_never_used_again(store: Store, tokens: Tokens) -> None:
    """Logs, reports and the history of settings name a token by its id."""
    seen = [(await tokens.create("acme", Role.OWNER))[0].id]
    for _ in range(3):
        await tokens.revoke(seen[-1])
        seen.append((await tokens.create(None, Role.OPERATOR))[0].id)
    await tokens.create("acme", Role.VIEWER)
    seen.append((await tokens.of("acme"))[-1].id)
    await store.tenants().remove("acme")
    seen.append((await tokens.create(None, Role.OPERATOR))[0].id)
    assert seen == sorted(set(seen))


async def test_tokens_made_at_once_do_not_exceed_their_most(store: Store) -> None:
    kept = store.tokens()

    async def add(secret: bytes) -> Token | None:
        try:
            return await kept.add(secret, "acme", Role.VIEWER, created_at=AT, expires_at=None, comment="", most=2)
        except TooMany:
            return None

    made = await asyncio.gather(*(add(str(number).encode()) for number in range(6)))
    assert sum(each is not None for each in made) == len(await kept.of("acme")) == 2


AT = "2026-03-01T12:00:00.000Z"


async def test_a_tenant_has_at_most_100_tokens(tokens: Tokens) -> None:
    for _ in range(TOKENS_MOST):
        await tokens.create("acme", Role.VIEWER)
    with pytest.raises(TenantRefused) as caught:
        await tokens.create("acme", Role.VIEWER)
    assert caught.value.code == "token_too_many"
    await tokens.create(None, Role.OPERATOR)
