"""Where a sign-in leads: to the page that was asked for, never to another site."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from engine.tokens import Token

IN_MAIL_MOST = 500
"""The most characters of a page to which a sign-in link in a mail leads. A longer one is left out."""


def home_of(token: Token) -> str:
    """Return the first page for this token. Pure."""
    return f"/tenants/{token.tenant}/imports" if token.tenant else "/tenants"


def page_of_site(target: str) -> str:
    """Return `target` if it is a page of this server, else "". Pure."""
    fine = target.startswith("/") and target[1:2] not in {"/", "\\"} and target.isprintable()
    return target if fine else ""


def page_for(token: Token, target: str) -> str:
    """Return the page `target` of this server; the first page for `token` if it is not one, or of another company."""
    others = token.tenant and target.startswith("/tenants/") and target.split("/")[2] != token.tenant
    return home_of(token) if others else page_of_site(target) or home_of(token)


def further(token: Token, target: str) -> str:
    """Return the further parameter of a sign-in link of `token` in a mail that leads to `target`; may be ""."""
    return and_next(target) if target == page_for(token, target) and len(target) <= IN_MAIL_MOST else ""


def sign_in_for(target: str) -> str:
    """Return the address of the sign-in page that leads to the page `target`, if it is one. Pure."""
    return f"/sign-in?{urlencode({'next': target})}" if target else "/sign-in"


def and_next(target: str) -> str:
    """Return the further parameter of an address that leads to the page `target`; "" for no page."""
    return f"&next={quote(target, safe='')}" if target else ""
