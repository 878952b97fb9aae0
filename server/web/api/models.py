"""What the API answers with, as the OpenAPI document describes it. Every field is always there; null says "none"."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from importer.rules.cells import LANGUAGES, ROLES

State = Literal[
    "queued",
    "running",
    "completed",
    "completed_with_errors",
    "unchanged",
    "held",
    "discarded",
    "failed",
    "superseded",
    "undone",
    "aborted",
    "ignored",
]
UserState = Literal["active", "deactivated"]
Severity = Literal["error", "warning", "notice"]
Action = Literal["created", "updated", "reactivated", "deactivated"]
Reason = Literal[
    "too_many_deactivations", "too_many_creations", "too_many_updates", "possibly_truncated", "identifiers_changed"
]

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-03-02T06:00:04.120Z"])]
"""RFC 3339 in UTC. Written by us, so that nothing of it has to be parsed again."""

Count = Annotated[int, Field(ge=0)]
Next = Annotated[int | None, Field(description="The cursor of the next page; null: this is the last one.")]


class FileFacts(BaseModel):
    """The file that was uploaded."""

    name: str = Field(examples=["sync_users.csv"])
    size: Count = Field(description="In bytes.", examples=[182734])
    sha256: str | None = Field(description="Null until it was read.")
    rows: Count | None = Field(description="Null until it was read.", examples=[1200])


class Counts(BaseModel):
    """What the import did; of a held one and of a dry run: what it would do. A user counts once.

    `rows` of the file = created + updated + unchanged + reactivated + deactivated - deactivated_absent + rejected
    + ignored.
    """

    created: Count
    updated: Count
    unchanged: Count
    reactivated: Count
    deactivated: Count
    deactivated_absent: Count = Field(description="Those of `deactivated` who were on no row.")
    rejected: Count
    ignored: Count
    warnings: Count
    teams_created: Count
    locations_created: Count
    invitations: Count


class Guard(BaseModel):
    """Why an import is held."""

    reasons: list[Reason]
    limit_percent: float
    active: Count = Field(description="Users who were active before it.")
    would_deactivate: Count


class Message(BaseModel):
    """One thing about the file: `error` rejected its row, `warning` did not, `notice` is worth knowing."""

    severity: Severity
    code: str = Field(description="Stable; all of them are in docs/errors.md.", examples=["invalid_email"])
    line: int | None = Field(description="The line of the file where the row begins.", examples=[17])
    column: str | None = Field(examples=["email"])
    value: str | None = Field(description="What stands there, cut at 100 characters.", examples=["ann@example"])
    message: str = Field(description="A sentence that says what to do.")


class Import(BaseModel):
    """One upload and what became of it: a report without its messages."""

    id: int = Field(ge=1, description="Per tenant, from 1.", examples=[7])
    tenant: str = Field(examples=["acme"])
    state: State
    dry_run: bool
    uploaded_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    file: FileFacts
    counts: Counts
    guard: Guard | None = Field(description="Null if it was never held.")
    decided_by: str | None = Field(
        description="Who approved, discarded or undid it.", examples=["Ann (owner, token 3)"]
    )
    decided_at: Moment | None
    message: str | None = Field(
        description="What happened, or must be looked at first, where the state does not say it all."
    )


class AdvisedColumn(BaseModel):
    """What becomes of one column of the file with the advice."""

    header: str = Field(examples=["Vorname"])
    field: str | None = Field(description="The field it is read as; null: none.", examples=["first_name"])
    certain: bool = Field(description="False: a guess, or it may be meant otherwise.")
    note: str = Field(examples=["Read as first_name, with the suggested settings."])


class Advice(BaseModel):
    """Which settings would fit the file better, tested on a copy of the users."""

    columns: list[AdvisedColumn] = Field(description="Every column of the file.")
    settings: dict[str, Any] = Field(description="What to change, as `PATCH /settings` takes it; {}: nothing.")
    toml: str | None = Field(
        description="All settings with it, as `headcount tenant load` takes them. What must be completed first stands"
        " there as comments."
    )
    state: State | None = Field(description="What the file would come to with them; null: nothing to change.")
    counts: Counts | None = Field(description="The same, in numbers.")
    sentences: list[str] = Field(
        description="What the settings do, and what is left to a person. A guess says that it is one."
    )
    gaps: list[str] = Field(description="What no setting can fix.")


class Report(Import):
    """What became of one upload."""

    advice: Advice | None = Field(
        description="Null: nothing to say. It may come some seconds after the end of the import."
    )
    messages: list[Message] = Field(description="The first 100; more by `/messages`.")


class Imports(BaseModel):
    """Newest first."""

    imports: list[Import]
    next: Next


class Messages(BaseModel):
    """In the order in which they were said."""

    messages: list[Message]
    next: Next


class Touched(BaseModel):
    """One user whom a held import or a dry run would touch."""

    action: Action
    identifier: str | None = Field(examples=["ann@example.com"])
    email: str | None
    name: str = Field(examples=["Ann Smith"])
    absent: bool = Field(description="Deactivated for being on no row.")


class TouchedUsers(BaseModel):
    """Whom an import would touch."""

    touched: list[Touched]
    next: Next


class Change(BaseModel):
    """One field of one user, from what to what."""

    import_id: int
    at: Moment | None
    undo: bool = Field(description="Whether the undo of the import did this.")
    identifier: str | None = Field(description="Of the user, as it is now.", examples=["ann@example.com"])
    name: str | None = Field(examples=["Ann Smith"])
    field: str = Field(description="A column, or `created` (without values).", examples=["job_title"])
    old: Any
    new: Any


class Changes(BaseModel):
    """What was changed."""

    changes: list[Change]
    next: Next


class User(BaseModel):
    """One user, by the columns of the file."""

    first_name: str
    last_name: str
    email: str | None = Field(description="Null if somebody else has the address now.", examples=["ann@example.com"])
    job_title: str | None
    manager: str | None = Field(description="An identifier.")
    coach: str | None = Field(description="An identifier.")
    primary_team: str | None
    secondary_team: list[str]
    role: str = Field(json_schema_extra={"enum": list(ROLES)})
    language: str = Field(json_schema_extra={"enum": list(LANGUAGES)})
    location: str | None
    time_zone: str | None = Field(description="An IANA name.", examples=["Europe/London"])
    hire_date: str | None = Field(json_schema_extra={"format": "date"}, examples=["2026-03-01"])
    leave_date: str | None = Field(
        description="The last day.", json_schema_extra={"format": "date"}, examples=["2026-03-31"]
    )
    state: UserState
    protected: bool = Field(description="Never deactivated by an import.")
    custom: dict[str, Any] = Field(description="The tenant's own fields, by key; blank ones are not there.")


class Users(BaseModel):
    """In the order in which they were created."""

    users: list[User]
    next: Next


class SettingChange(BaseModel):
    """One setting that somebody changed."""

    changed_at: Moment
    changed_by: str = Field(examples=["Ann (owner, token 3)"])
    key: str = Field(examples=["deactivate_missing"])
    old: Any
    new: Any


class SettingChanges(BaseModel):
    """Newest first."""

    changes: list[SettingChange]
    next: Next


class Key(BaseModel):
    """A public key that the tenant logs in with."""

    fingerprint: str = Field(examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"])
    type: str = Field(examples=["ssh-ed25519"])
    key: str = Field(description="In base64, as in a .pub file.")
    comment: str
    added_at: Moment
    expires: str | None = Field(description="Its last day (UTC), or a time in RFC 3339.", examples=["2027-01-31"])
    networks: list[str] = Field(description="Where it may be used; none: anywhere.", examples=[["192.0.2.0/24"]])
    last_used_at: Moment | None = Field(description="When it last opened a connection; null: never.")
    last_used_from: str | None = Field(description="The address it was used from then.", examples=["192.0.2.7"])


class Keys(BaseModel):
    """Oldest first; there are never more than one page of them."""

    keys: list[Key]
    next: None


class NewKey(BaseModel):
    """A key to be added."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(description="One line, as in a .pub file.", examples=["ssh-ed25519 AAAA... ann@laptop"])
    comment: str | None = Field(None, description="What to know it by; without it, the comment in `key`.")
    expires: str | None = Field(None, description="Its last day (UTC), or a time in RFC 3339.")
    networks: list[str] = Field([], description="The networks it may be used from; none: anywhere.")


class UserCounts(BaseModel):
    """How many users a tenant has."""

    active: Count
    deactivated: Count


class Tenant(BaseModel):
    """One company."""

    name: str = Field(examples=["acme"])
    created_at: Moment
    last_import: Import | None = Field(description="The newest that was no dry run.")
    last_applied_at: Moment | None
    stale: bool | None = Field(
        description="Whether that is longer ago than `stale_after_days`; null: that is not set."
    )
    users: UserCounts | None = Field(description="Null: they are not counted yet, or cannot be.")
    sessions: Count = Field(description="Open over SFTP now.")
    disk_bytes: Count | None = Field(description="What its folder takes; null: not measured yet.")
    broken: str | None = Field(description="Why its data cannot be used, and what to do; null: it can.")


class Tenants(BaseModel):
    """By name."""

    tenants: list[Tenant]
    next: None


class Wrong(BaseModel):
    """One thing that is wrong with what was sent."""

    name: str = Field(description="The parameter, field or setting.", examples=["limit"])
    detail: str = Field(examples=["must be at most 1000, not '5000'"])


class Problem(BaseModel):
    """What could not be done (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="A sentence that says what to do.", examples=["There is no import 9 of acme."])
    code: str | None = Field(None, description="Stable; all are in docs/api.md.", examples=["unknown_import"])
    errors: list[Wrong] = Field([], description="All that is wrong with what was sent, where that is the problem.")
