"""Stored sessions of the page: they end at their time, and with their token."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.store import Store
from engine.tokens import Role, Token
from ground.moments import CLOCKS_S
from importer.errors import DatabaseFault
from server.tenants.access.sign_ins import SESSION_S, SignIns
from server.tenants.access.tokens import Tokens, secret_hash

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def token(store: Store) -> Token:
    token, _ = await Tokens(store.tokens()).create("acme", Role.OWNER)
    return token


@pytest.fixture
def sign_ins(store: Store) -> SignIns:
    return SignIns(store.sign_ins())


async def opened(sign_ins: SignIns, token: Token, at: datetime = NOW) -> str:
    text = await sign_ins.open(token, at)
    assert text
    return text


async def test_a_session_is_found_only_by_its_text(sign_ins: SignIns, token: Token) -> None:
    text = await opened(sign_ins, token)
    assert await sign_ins.find(text, NOW) == token
    assert await sign_ins.find(f"{text}x", NOW) is None


async def test_a_session_ends_after_its_time(sign_ins: SignIns, token: Token) -> None:
    text = await opened(sign_ins, token)
    assert await sign_ins.find(text, NOW + timedelta(seconds=SESSION_S - 1)) == token
    assert await sign_ins.find(text, NOW + timedelta(seconds=SESSION_S)) is None


async def test_a_session_opened_by_a_clock_that_was_ahead_is_over(sign_ins: SignIns, token: Token) -> None:
    text = await opened(sign_ins, token, NOW + 7 * DAY)
    assert await sign_ins.find(text, NOW) is None


@pytest.mark.parametrize("ahead_s", [0.001, CLOCKS_S])
async def test_a_session_of_a_server_whose_clock_is_ahead_is_found_and_stays(
    sign_ins: SignIns, token: Token, ahead_s: float
) -> None:
    text = await opened(sign_ins, token, NOW + timedelta(seconds=ahead_s))
    assert await sign_ins.find(text, NOW) == token
    await opened(sign_ins, token)
    assert await sign_ins.find(text, NOW) == token


async def test_a_link_of_a_server_whose_clock_is_ahead_opens_a_session(sign_ins: SignIns, token: Token) -> None:
    links = [await sign_ins.make_link(token, NOW + timedelta(seconds=CLOCKS_S)) for _ in range(2)]
    assert await sign_ins.make_link(token, NOW)
    assert await sign_ins.find_link(links[0] or "", NOW) == token
    text = await sign_ins.open_by_link(links[1] or "", NOW)
    assert text
    assert await sign_ins.find(text, NOW) == token


async def test_people_who_sign_in_at_once_get_a_session_each(sign_ins: SignIns, token: Token) -> None:
    """Whichever request is stored first."""
    moments = [NOW + timedelta(milliseconds=each) for each in (3, 0, 2, 1)]
    texts = await asyncio.gather(*(opened(sign_ins, token, each) for each in moments))
    assert [await sign_ins.find(each, NOW + timedelta(milliseconds=4)) for each in texts] == [token] * 4


async def test_an_expired_session_is_removed_when_another_opens(sign_ins: SignIns, token: Token) -> None:
    old = await opened(sign_ins, token)
    await sign_ins.open(token, NOW + DAY)
    assert await sign_ins.find(old, NOW) is None


async def test_a_session_ends_with_its_token(store: Store, sign_ins: SignIns, token: Token) -> None:
    text = await opened(sign_ins, token)
    await store.tokens().remove(token.id)
    assert await sign_ins.find(text, NOW) is None


async def test_a_token_revoked_meanwhile_gets_no_session_and_no_link(
    store: Store, sign_ins: SignIns, token: Token
) -> None:
    """Not even if another token is made at once: it gets another id."""
    await store.tokens().remove(token.id)
    other, _ = await Tokens(store.tokens()).create(None, Role.OPERATOR)
    assert other.id != token.id
    assert await sign_ins.open(token, NOW) is None
    assert await sign_ins.make_link(token, NOW) is None


@pytest.mark.parametrize("earlier", ["ann@acme.example", None])
@pytest.mark.parametrize("address", ["bo@acme.example", None])
async def test_a_new_address_of_a_token_ends_its_sessions(
    store: Store, sign_ins: SignIns, earlier: str | None, address: str | None
) -> None:
    """A link to an earlier address may have opened them."""
    tokens = store.tokens()
    token, _ = await Tokens(tokens).create("acme", Role.OWNER, email=earlier)
    other, _ = await Tokens(tokens).create("acme", Role.OWNER, email="ann@acme.example")
    mine, others, kept = [await opened(sign_ins, each) for each in (token, other, token)]
    for change in ({"email": earlier}, {"comment": "Ann"}, {"role": Role.VIEWER}):
        changed = await tokens.edit(token.id, lambda found, _, change=change: replace(found, **change))
        assert await sign_ins.find(mine, NOW) == changed
    changed = await tokens.edit(token.id, lambda found, _: replace(found, email=address), kept=secret_hash(kept))
    assert changed
    ended = None if address != earlier else changed
    assert [await sign_ins.find(each, NOW) for each in (mine, others, kept)] == [ended, other, changed]


async def test_a_session_that_stayed_when_its_address_was_removed_ends_with_the_next_one(
    store: Store, sign_ins: SignIns
) -> None:
    """The token is given to another person then: the session was opened by a link to the first one."""
    tokens = Tokens(store.tokens())
    eve, _ = await tokens.create("acme", Role.OWNER, email="eve@acme.example")
    link = await sign_ins.make_link(eve, NOW)
    assert link
    session = await sign_ins.open_by_link(link, NOW)
    assert session
    removed = await tokens.edit(eve, "acme", eve.id, email="", session=session)
    assert await sign_ins.find(session, NOW) == removed
    await tokens.edit(eve, "acme", eve.id, email="bob@acme.example")
    assert await sign_ins.find(session, NOW) is None


async def test_a_link_used_while_the_address_changes_leaves_no_session(store: Store, token: Token) -> None:
    kept, tokens = store.sign_ins(), store.tokens()
    address = "ann@acme.example"
    for number in range(10):
        token = await tokens.edit(token.id, lambda found, _: replace(found, email=address)) or token
        secret, hashed = f"link {number}".encode(), f"session {number}".encode()
        assert await kept.add_link(secret, token, now=AT, ends=END, latest=END)
        await asyncio.gather(
            kept.open_by_link(secret, hashed, now=AT, link_latest=END, ends=LATE, latest=LATE),
            tokens.edit(token.id, lambda found, _: replace(found, email=None)),
        )
        assert await kept.find(hashed, now=AT, latest=LATE) is None


async def test_signing_out_ends_one_session(sign_ins: SignIns, token: Token) -> None:
    one, other = await opened(sign_ins, token), await opened(sign_ins, token)
    await sign_ins.close(one)
    assert [await sign_ins.find(text, NOW) for text in (one, other)] == [None, token]


END = "2026-03-01T12:10:00.000Z"
AT = "2026-03-01T12:00:00.000Z"


LATE = "2026-03-02T00:00:00.000Z"


async def test_a_link_opens_one_session_and_is_found_until_then(store: Store, token: Token) -> None:
    kept = store.sign_ins()
    assert await kept.add_link(b"1", token, now=AT, ends=END, latest=END)
    for _ in range(2):
        assert await kept.find_link(b"1", now=AT, latest=END) == token
    assert await kept.open_by_link(b"1", b"a", now=AT, link_latest=END, ends=LATE, latest=LATE) == token
    assert await kept.find(b"a", now=AT, latest=LATE) == token
    assert await kept.open_by_link(b"1", b"b", now=AT, link_latest=END, ends=LATE, latest=LATE) is None
    assert await kept.find(b"b", now=AT, latest=LATE) is None
    assert await kept.find_link(b"1", now=AT, latest=END) is None


async def test_a_link_is_used_by_one_of_many_at_once(store: Store, token: Token) -> None:
    kept = store.sign_ins()
    await kept.add_link(b"1", token, now=AT, ends=END, latest=END)
    hashes = [str(number).encode() for number in range(5)]
    used = [kept.open_by_link(b"1", each, now=AT, link_latest=END, ends=LATE, latest=LATE) for each in hashes]
    assert sorted(await asyncio.gather(*used), key=bool) == [None, None, None, None, token]
    found = [await kept.find(each, now=AT, latest=LATE) for each in hashes]
    assert sorted(found, key=bool) == [None, None, None, None, token]


async def test_a_link_stays_if_its_session_cannot_be_stored(store: Store, token: Token) -> None:
    kept = store.sign_ins()
    await kept.add_link(b"1", token, now=AT, ends=END, latest=END)
    assert await kept.open(b"a", token, now=AT, ends=LATE, latest=LATE)
    with pytest.raises(DatabaseFault):  # two sessions cannot have one hash
        await kept.open_by_link(b"1", b"a", now=AT, link_latest=END, ends=LATE, latest=LATE)
    assert await kept.find_link(b"1", now=AT, latest=END) == token


@pytest.mark.parametrize(
    ("now", "latest"),
    [(END, "2026-03-01T12:20:00.000Z"), ("2026-02-22T12:00:00.000Z", "2026-02-22T12:10:00.000Z")],
    ids=["after its end", "after the clock stepped back"],
)
async def test_a_link_that_is_over_opens_nothing(store: Store, token: Token, now: str, latest: str) -> None:
    kept = store.sign_ins()
    await kept.add_link(b"1", token, now=AT, ends=END, latest=END)
    assert await kept.find_link(b"1", now=now, latest=latest) is None
    assert await kept.open_by_link(b"1", b"a", now=now, link_latest=latest, ends=LATE, latest=LATE) is None


async def test_a_link_ends_with_its_token(store: Store, token: Token) -> None:
    kept = store.sign_ins()
    await kept.add_link(b"1", token, now=AT, ends=END, latest=END)
    await store.tokens().remove(token.id)
    assert await kept.find_link(b"1", now=AT, latest=END) is None
    assert not await kept.add_link(b"2", token, now=AT, ends=END, latest=END)


async def test_a_new_address_of_a_token_ends_its_links(store: Store, token: Token) -> None:
    kept, tokens = store.sign_ins(), store.tokens()
    other, _ = await Tokens(tokens).create("acme", Role.OWNER)
    for secret, each in ((b"1", token), (b"2", other)):
        await kept.add_link(secret, each, now=AT, ends=END, latest=END)
    await tokens.edit(token.id, lambda found, _: replace(found, comment="Ann"))
    assert await kept.find_link(b"1", now=AT, latest=END)
    await tokens.edit(token.id, lambda found, _: replace(found, email="ann@acme.example"))
    assert await kept.find_link(b"1", now=AT, latest=END) is None
    assert not await kept.add_link(b"3", token, now=AT, ends=END, latest=END), (
        "its address was read before the change"
    )
    assert await kept.find_link(b"2", now=AT, latest=END) == other
