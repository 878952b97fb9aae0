"""The keys, tokens and tenants in the answers of the API, and the bodies that create them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from server.web.api.models import Count, Import, Moment


class Key(BaseModel):
    """A public key for SFTP logins of the tenant."""

    fingerprint: str = Field(examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"])
    type: str = Field(examples=["ssh-ed25519"])
    key: str = Field(description="The key in base64, as in a .pub file.", examples=["AAAAC3NzaC1lZDI1NTE5..."])
    comment: str = Field(examples=["ann@laptop"])
    added_at: Moment
    expires: str | None = Field(
        description="The last valid day (UTC), or a time in RFC 3339.", examples=["2027-01-31"]
    )
    networks: list[str] = Field(
        description="The networks from which it may be used; empty: any.", examples=[["192.0.2.0/24"]]
    )
    last_used_at: Moment | None = Field(description="When the key last opened a connection; null: never.")
    last_used_from: str | None = Field(description="The address of that connection.", examples=["192.0.2.7"])


class Keys(BaseModel):
    """Oldest first; always one page."""

    keys: list[Key]
    next: None


class NewKey(BaseModel):
    """A key to add."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(description="One line, as in a .pub file.", examples=["ssh-ed25519 AAAA... ann@laptop"])
    comment: str | None = Field(
        None, description="A name for the key; without it, the comment in `key`.", examples=["HR export"]
    )
    expires: str | None = Field(
        None, description="The last valid day (UTC), or a time in RFC 3339.", examples=["2027-01-31"]
    )
    networks: list[str] = Field(
        [], description="The networks from which it may be used; empty: any.", examples=[["192.0.2.0/24"]]
    )


class Token(BaseModel):
    """A token, without its secret text."""

    id: int = Field(examples=[3])
    tenant: str = Field(examples=["acme"])
    role: Literal["owner", "viewer"]
    created_at: Moment
    expires_at: Moment | None = Field(description="When it ends; null: never.")
    comment: str = Field(description="The name of its holder, shown beside their decisions.", examples=["Grace, HR"])
    email: str | None = Field(
        description="The address that sign-in links are sent to; null: none.", examples=["grace@acme.example"]
    )


class Tokens(BaseModel):
    """Oldest first; always one page."""

    tokens: list[Token]
    next: None


class MadeToken(Token):
    """A new token, with its secret text."""

    token: str = Field(description="The secret text, this once.", examples=["hc_..."])


class NewToken(BaseModel):
    """A token to create."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["owner", "viewer"]
    comment: str = Field(
        "", description="The name of its holder: one line, at most 100 characters.", examples=["Grace, HR"]
    )
    expires: str | None = Field(
        None, description="The last valid day (UTC), or a time in RFC 3339.", examples=["2027-01-31"]
    )
    email: str | None = Field(
        None, description="The address that sign-in links are sent to.", examples=["grace@acme.example"]
    )


class TokenPatch(BaseModel):
    """The changes of a token. Fields that are left out stay."""

    model_config = ConfigDict(extra="forbid")

    comment: str = Field(default_factory=str, description="One line, at most 100 characters.", examples=["Grace, HR"])
    role: Literal["owner", "viewer"] = Field(
        default_factory=lambda: "viewer", description="An owner may change data, a viewer only read."
    )
    email: str | None = Field(
        default_factory=lambda: None,
        description="The address that sign-in links are sent to; null: none.",
        examples=["grace@acme.example"],
    )


class UserCounts(BaseModel):
    """The number of users of a tenant."""

    active: Count
    deactivated: Count


class Tenant(BaseModel):
    """One tenant."""

    name: str = Field(examples=["acme"])
    created_at: Moment
    last_import: Import | None = Field(description="The newest import that is not a dry run; null: none.")
    last_applied_at: Moment | None
    stale: bool | None = Field(
        description="Whether `last_applied_at` is `stale_after_days` ago or longer; null: that is not set.",
        examples=[False],
    )
    paused_until: Moment | None = Field(description="The end of the pause of its imports; null: it is not paused.")
    users: UserCounts | None = Field(description="Null: not counted yet, or they cannot be read.")
    sessions: Count = Field(description="Open SFTP sessions.")
    disk_bytes: Count | None = Field(description="The size of its folder; null: not measured yet.")
    broken: str | None = Field(description="Why its data cannot be used, and what to do; null: it can be used.")


class Tenants(BaseModel):
    """By name."""

    tenants: list[Tenant]
    next: None


class NewTenant(BaseModel):
    """A tenant to add."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        description="Its name, also for SFTP logins: 2 to 31 of a-z, 0-9 and hyphens, a letter first.",
        examples=["acme"],
    )


class AddedTenant(BaseModel):
    """A new tenant."""

    name: str = Field(examples=["acme"])
    created_at: Moment
