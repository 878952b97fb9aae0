"""Access tokens as stored: what each allows, but never the token itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    OWNER = "owner"
    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Token:
    """The stored facts of a token, without the token. The operator's has no tenant. Times are RFC 3339 in UTC."""

    id: int
    tenant: str | None
    role: Role
    created_at: str
    expires_at: str | None
    comment: str = ""
    email: str | None = None

    @property
    def bearer(self) -> str:
        """The holder of the token, as recorded with their decisions: `Ann (owner, token 3)`."""
        return f"{self.comment} ({self.number})" if self.comment else self.number

    @property
    def number(self) -> str:
        """The token without the name of its holder: `owner, token 3`."""
        return f"{self.role.value}, token {self.id}"

    @property
    def name(self) -> str:
        """The comment of the token, or its role and id if it has none: who sent a file."""
        return self.comment or self.bearer

    def is_valid(self, now: datetime) -> bool:
        """Return whether the token has not expired."""
        return self.expires_at is None or now < datetime.fromisoformat(self.expires_at)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "tenant": self.tenant,
            "role": self.role.value,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "comment": self.comment,
            "email": self.email,
        }


Check = Callable[[Token, Sequence[Token]], None]
"""Raises an exception if a token may not be changed. Its second argument are the other tokens of the same tenant."""


Edit = Callable[[Token, Sequence[Token]], Token]
"""Returns a token with another comment, role or address, or raises. Its arguments are those of a `Check`."""


def accept(token: Token, others: Sequence[Token]) -> None:
    """Accept every change."""


class TooMany(Exception):  # noqa: N818 - what is the case
    """The tenant has as many tokens as it may have."""


class TokenStore(Protocol):
    """The tokens of all tenants and of the operator. A token is removed with its tenant."""

    async def add(
        self,
        secret_hash: bytes,
        tenant: str | None,
        role: Role,
        *,
        created_at: str,
        expires_at: str | None,
        comment: str,
        email: str | None = None,
        most: int | None = None,
    ) -> Token | None:
        """Store a new token and return it with its id, which no token ever had.

        Return None if the tenant does not exist. Raises TooMany if it has `most` tokens. Then nothing is stored.
        """

    async def list(self) -> Sequence[Token]:
        """Return all tokens, oldest first."""

    async def of(self, tenant: str | None) -> Sequence[Token]:
        """Return the tokens of a tenant, or with None those of operators, oldest first."""

    async def with_email(self, email: str) -> Sequence[Token]:
        """Return the tokens with this address, of all tenants and of operators, oldest first."""

    async def edit(self, number: int, edit: Edit, *, kept: bytes | None = None) -> Token | None:
        """Store the comment, role and address that `edit` returns for the token with this id; None if there is none.

        `edit` is called in the same transaction: if it raises, nothing changes. A change of the address ends the
        links of the token, and its sessions but for that with the hash `kept`: a link may have opened them. The first
        address does so, too, since the token may have had another one before, and lost it while `kept` stayed.
        """

    async def remove(self, number: int, check: Check = accept) -> Token | None:
        """Remove the token with this id, its sessions and its links. Return it; None if there is none.

        `check` is called in the same transaction: if it raises, nothing is removed.
        """

    async def find(self, secret_hash: bytes) -> Token | None:
        """Return the token with this hash, expired or not; None if there is none."""
