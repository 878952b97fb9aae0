"""Access tokens as they are kept: what each allows, and never the token itself."""

from __future__ import annotations

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
    """What is known of a token; not the token. The operator's has no tenant. Times are RFC 3339 in UTC."""

    id: int
    tenant: str | None
    role: Role
    created_at: str
    expires_at: str | None
    comment: str = ""

    @property
    def bearer(self) -> str:
        """Who has it, as it is written down beside what they decide: `Ann (owner, token 3)`."""
        number = f"token {self.id}"
        return f"{self.comment} ({self.role.value}, {number})" if self.comment else f"{self.role.value}, {number}"

    def lives(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < datetime.fromisoformat(self.expires_at)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "tenant": self.tenant,
            "role": self.role.value,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "comment": self.comment,
        }


class TokenStore(Protocol):
    """The tokens of all tenants, and of the operator. A token goes with its tenant."""

    async def add(
        self,
        secret_hash: bytes,
        tenant: str | None,
        role: Role,
        *,
        created_at: str,
        expires_at: str | None,
        comment: str,
    ) -> Token | None:
        """Keep a new token. Return it with its id; None if there is no such tenant, then nothing is kept."""

    async def list(self) -> list[Token]:
        """All tokens, oldest first."""

    async def remove(self, number: int) -> Token | None:
        """Remove the token with this id, and the sessions that it opened. Return it; None if there is none."""

    async def find(self, secret_hash: bytes) -> Token | None:
        """The token of this hash, whether or not it has expired."""
