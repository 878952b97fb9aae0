"""Access tokens: random, shown once, stored only as SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from engine.tokens import Role, Token, TokenStore, TooMany
from ground.moments import rfc3339, utc_now
from importer.rules.cells import Invalid
from importer.rules.emails import check_email, email_key, fits_header
from keys.errors import KeyRefused
from keys.ring import end_of
from server.tenants.settings import TenantRefused

PREFIX = "hc_"  # lets scanners for leaked secrets recognize a token
COMMENT_MAX = 100
LASTING = timedelta(days=30)
"""An owner's token that expires sooner does not count as another one."""
TOKENS_MOST = 100
"""The most tokens of one tenant."""
NOTHING: Mapping[str, object] = {}


class FormOutdated(TenantRefused):
    """A form would overwrite facts of a token that changed after it showed them.

    `now` is the token as it is stored. `changed` are the names of the facts that the form changes, and `overwritten`
    those of them that it must not.
    """

    def __init__(self, now: Token, changed: Collection[str], overwritten: Collection[str]) -> None:
        super().__init__("form_outdated", f"token {now.id} changed after the form showed it. Nothing was changed")
        self.now = now
        self.changed = changed
        self.overwritten = overwritten


class Tokens:
    """The tokens in `store`. Every method raises TryAgain if it cannot be read or written now."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def create(
        self, tenant: str | None, role: Role, expires: str | None = None, comment: str = "", email: str | None = None
    ) -> tuple[Token, str]:
        """Create a token; return it and its text, which cannot be shown again.

        `expires` is a date (the token is valid to the end of that day, UTC) or an RFC 3339 time. `comment` is one
        line that names the token's user. Sign-in links are sent to `email`. Raises TenantRefused.
        """
        comment, address = _checked(comment), _address(email)
        now = utc_now()
        until = _expiry(expires, now)
        text = PREFIX + secrets.token_urlsafe(32)
        try:
            made = await self._store.add(
                secret_hash(text),
                tenant,
                role,
                created_at=rfc3339(now),
                expires_at=until,
                comment=comment,
                email=address,
                most=TOKENS_MOST if tenant else None,
            )
        except TooMany:
            raise TenantRefused(
                "token_too_many", f"{tenant} has {TOKENS_MOST} tokens, and can have no more. Revoke one first"
            ) from None
        if made is None:
            raise TenantRefused("no_tenant", f"there is no tenant {tenant}; see: headcount tenant list")
        return made, text

    async def list(self) -> Sequence[Token]:
        """Return all tokens, oldest first."""
        return await self._store.list()

    async def of(self, tenant: str | None) -> Sequence[Token]:
        """Return the tokens of a tenant, or with None those of operators, oldest first."""
        return await self._store.of(tenant)

    async def show(self, tenant: str | None, number: int) -> Token:
        """Return one of the tokens `of(tenant)`. Raises TenantRefused if there is none of this id."""
        found = next((each for each in await self._store.of(tenant) if each.id == number), None)
        if found is None:
            raise _unknown(tenant, number)
        return found

    async def valid_with(self, email: str, now: datetime) -> Sequence[Token]:
        """Return the tokens with this address that are valid at `now`; none if it is not an address."""
        try:
            address = _address(email)
        except TenantRefused:
            return []
        found = await self._store.with_email(address) if address else []
        return [token for token in found if token.is_valid(now)]

    async def edit(
        self,
        by: Token,
        tenant: str | None,
        number: int,
        *,
        comment: str | None = None,
        role: Role | None = None,
        email: str | None = None,
        session: str | None = None,
        shown: Mapping[str, object] = NOTHING,
    ) -> Token:
        """Change the facts that are not None of one of the tokens `of(tenant)`; return it. Raises TenantRefused.

        `shown` are facts as the user saw them, by name. One that is as shown is not changed. If one that is not was
        changed by another request meanwhile, to another value, nothing is changed: raises FormOutdated.
        An empty `email` removes the address. A change of the address ends the links that were sent to the earlier
        one, and the sessions of the token but for that with the text `session`: people who have mistyped their own
        address can correct it. Only the operator may change the role of the last valid owner's token.
        """
        now = utc_now()
        changes: dict[str, Any] = {
            name: value
            for name, given, value in (
                ("comment", comment, _checked(comment or "")),
                ("role", role, role),
                ("email", email, _address(email)),
            )
            if given is not None
        }

        def edited(token: Token, others: Sequence[Token]) -> Token:
            _check_owned(token, tenant, number)
            after = replace(token, **_wanted(token, changes, shown))
            if after.role is not token.role:
                _check_owner_stays(by, token, others, now)
            return after

        found = await self._store.edit(number, edited, kept=secret_hash(session) if session else None)
        if found is None:
            raise _unknown(tenant, number)
        return found

    async def revoke(self, number: int) -> Token:
        """Delete the token with this id, which ends its access. Raises TenantRefused if there is none."""
        revoked = await self._store.remove(number)
        if revoked is None:
            raise TenantRefused("unknown_token", f"there is no token {number}; see: headcount token list")
        return revoked

    async def revoke_for(self, by: Token, tenant: str | None, number: int) -> Token:
        """Delete one of the tokens `of(tenant)` for its owner or the operator. Raises TenantRefused.

        Only the operator may revoke the last owner's token of a tenant. One that expires soon is not another one.
        """
        now = utc_now()

        def check(token: Token, others: Sequence[Token]) -> None:
            _check_owned(token, tenant, number)
            _check_owner_stays(by, token, others, now)

        revoked = await self._store.remove(number, check)
        if revoked is None:
            raise _unknown(tenant, number)
        return revoked

    async def find(self, text: str, now: datetime) -> Token | None:
        """Return the token with this text; None if it does not exist, is revoked, or has expired at `now`."""
        token = await self._store.find(secret_hash(text))
        return token if token and token.is_valid(now) else None


def is_last_owner(token: Token, others: Sequence[Token], now: datetime) -> bool:
    """Return whether an owner's token is valid, and none of `others` is for `LASTING` more. Pure."""

    def works(each: Token, at: datetime) -> bool:
        return each.role is Role.OWNER and each.is_valid(at)

    return works(token, now) and not any(works(each, now + LASTING) for each in others)


def _wanted(token: Token, changes: Mapping[str, Any], shown: Mapping[str, object]) -> dict[str, Any]:
    """Return the changes of facts that are not as shown. Raises FormOutdated if one overwrites a newer change."""
    wanted = {name: value for name, value in changes.items() if name not in shown or value != shown[name]}
    seen = {name: value for name, value in wanted.items() if name in shown}
    overwritten = [name for name, value in seen.items() if getattr(token, name) not in (shown[name], value)]
    if overwritten:
        raise FormOutdated(token, wanted, overwritten)
    return wanted


def _check_owned(token: Token, tenant: str | None, number: int) -> None:
    """Raise TenantRefused if this is not a token of the tenant."""
    if token.tenant != tenant:
        raise _unknown(tenant, number)


def _check_owner_stays(by: Token, token: Token, others: Sequence[Token], now: datetime) -> None:
    """Raise TenantRefused if `by` may not end the owner's access of `token`: it is the last one of its tenant."""
    if by.role is not Role.OPERATOR and is_last_owner(token, others, now):
        raise TenantRefused(
            "last_owner",
            f"this is the last owner's token of {token.tenant}: one that expires within {LASTING.days} days does not "
            "count. Create another one first, or ask the operator",
        )


def _unknown(tenant: str | None, number: int) -> TenantRefused:
    return TenantRefused("unknown_token", f"there is no token {number} of {tenant or 'an operator'}")


def _address(email: str | None) -> str | None:
    """Return the address as addresses are compared; None for an empty one. Raises TenantRefused."""
    if not (text := (email or "").strip()):
        return None
    found = check_email(text)
    if isinstance(found, Invalid):
        raise TenantRefused("bad_email", found.message)
    if not fits_header(found):
        raise TenantRefused("bad_email", "no mail can be sent to this address. Use another one")
    return email_key(found)


def _expiry(expires: str | None, now: datetime) -> str | None:
    if expires is None:
        return None
    try:
        end = end_of(expires)
    except KeyRefused as error:
        raise TenantRefused("bad_expiry", error.message) from None
    if end <= now:
        raise TenantRefused("bad_expiry", f"the expiry {expires} is past. Choose a later one")
    return rfc3339(end)


def _checked(comment: str) -> str:
    """Return the comment without surrounding spaces. Raises TenantRefused if it is not one printable line."""
    comment = comment.strip()
    if len(comment) > COMMENT_MAX or not comment.isprintable():
        raise TenantRefused("bad_comment", f"a comment is one line of at most {COMMENT_MAX} characters")
    return comment


def secret_hash(text: str) -> bytes:
    """Return the hash that is stored of a random secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
