"""Access over HTTP: decided by role and tenant; answers to wrong tokens are delayed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from engine.tokens import Role, Token
from server.web.access import Need, Verdict, judge
from server.web.same_origin import is_same_origin
from server.web.slowing import FORGIVEN_AFTER_S, WAITING_MOST, WAITS, Slowing

HERE, NEXT_DOOR = ip_address("2001:db8::1"), ip_address("2001:db8::2")


def token(role: str, tenant: str | None = "acme") -> Token:
    return Token(1, None if role == "operator" else tenant, Role(role), "2026-01-01T00:00:00Z", None)


@pytest.mark.parametrize(
    ("need", "who", "tenant", "verdict"),
    [
        (Need.VIEWER, None, "acme", Verdict.UNKNOWN),
        (Need.VIEWER, "viewer", "acme", Verdict.WELCOME),
        (Need.VIEWER, "owner", "acme", Verdict.WELCOME),
        (Need.OWNER, "viewer", "acme", Verdict.FORBIDDEN),
        (Need.OWNER, "owner", "acme", Verdict.WELCOME),
        (Need.VIEWER, "owner", "other", Verdict.NOT_FOUND),
        (Need.OWNER, "viewer", "other", Verdict.NOT_FOUND),
        (Need.VIEWER, "owner", "ACME", Verdict.NOT_FOUND),
        (Need.OWNER, "viewer", "Acme", Verdict.NOT_FOUND),
        (Need.OPERATOR, "owner", None, Verdict.FORBIDDEN),
        (Need.OPERATOR, "operator", None, Verdict.WELCOME),
        (Need.OWNER, "operator", "acme", Verdict.WELCOME),
    ],
)
def test_a_role_decides_access(need: Need, who: str | None, tenant: str | None, verdict: Verdict) -> None:
    assert judge(need, token(who) if who else None, tenant) is verdict


def test_each_wrong_token_is_delayed_longer() -> None:
    slowing = Slowing()
    waits = []
    for now in range(8):
        waits.append(slowing.failed(HERE, now))
        slowing.waited(HERE)
    assert waits[:3] == [WAITS.first_s, 2 * WAITS.first_s, 4 * WAITS.first_s]
    assert waits[-1] == WAITS.longest_s


def test_the_delay_of_wrong_tokens_is_reset_after_a_while() -> None:
    slowing = Slowing()
    for now in (0, 1, 2):
        slowing.failed(HERE, now)
    assert slowing.failed(HERE, 2 + FORGIVEN_AFTER_S + 1) == WAITS.first_s


def test_delayed_answers_of_one_source_have_a_limit() -> None:
    slowing = Slowing()
    for _ in range(WAITING_MOST):
        assert slowing.failed(HERE, 0) is not None
    assert slowing.failed(NEXT_DOOR, 0) is None, "the same /64 is the same source"
    assert slowing.failed(ip_address("192.0.2.1"), 0) == WAITS.first_s, "each source has its own delay"
    slowing.waited(HERE)
    assert slowing.failed(HERE, 0) is not None


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://here", "host": "here"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://here:8080", "host": "here:8080"}, True),
        ({"origin": "https://here:8080", "host": "here:8080"}, False),
        ({"origin": "null", "host": "here"}, False),
        ({"host": "here"}, False),
    ],
)
def test_only_pages_of_this_server_send_forms(headers: dict[str, str], same: bool) -> None:
    assert is_same_origin(headers, "http") is same
