"""The tokens that get a link in one mail: shared out over tenants and roles."""

from __future__ import annotations

from engine.tokens import Role, Token
from server.notify.sign_in_mails import LINKS_MOST, chosen

OWNER, VIEWER, OPERATOR = Role.OWNER, Role.VIEWER, Role.OPERATOR


def tokens(*made: tuple[str | None, Role]) -> list[Token]:
    return [
        Token(number, tenant, role, "2026-01-01T00:00:00.000Z", None) for number, (tenant, role) in enumerate(made)
    ]


def ids(*made: tuple[str | None, Role]) -> list[int]:
    return [token.id for token in chosen(tokens(*made))]


def test_a_tenant_gets_one_link_a_role_to_its_newest_token() -> None:
    assert ids(("acme", OWNER), ("acme", VIEWER), ("acme", OWNER), ("acme", VIEWER)) == [2, 3]


def test_the_operators_link_is_first() -> None:
    assert ids(("acme", OWNER), (None, OPERATOR), ("other", OWNER), (None, OPERATOR)) == [3, 0, 2]


def test_each_tenant_gets_its_first_link_before_any_gets_its_second() -> None:
    assert ids(("b", VIEWER), ("b", OWNER), ("a", VIEWER), ("c", OWNER)) == [2, 1, 3, 0]
    many = [(f"t{number:02}", role) for number in range(LINKS_MOST) for role in (OWNER, VIEWER)]
    found = chosen(tokens(*many))
    assert [token.tenant for token in found] == [f"t{number:02}" for number in range(LINKS_MOST)]
    assert {token.role for token in found} == {OWNER}
