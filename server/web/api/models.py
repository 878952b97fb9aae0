"""The answers of the API, as the OpenAPI document describes them. Every field is always present; null means none."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

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
"""RFC 3339 in UTC. A string, because the server wrote it and need not parse it again."""

Count = Annotated[int, Field(ge=0)]
Next = Annotated[int | None, Field(description="The cursor of the next page; null on the last page.")]


class FileFacts(BaseModel):
    """The file that was uploaded."""

    name: str = Field(examples=["sync_users.csv"])
    size: Count = Field(description="In bytes.", examples=[182734])
    sha256: str | None = Field(description="Null until the file was read.", examples=["5f2b8c0d" * 8])
    rows: Count | None = Field(description="Null until the file was read.", examples=[75])


class Counts(BaseModel):
    """The result of the import; of a held import or a dry run, the expected result. A user counts once.

    `rows` of the file = created + updated + unchanged + reactivated + deactivated - deactivated_absent + rejected
    + ignored.
    """

    created: Count
    updated: Count
    unchanged: Count = Field(examples=[75])
    reactivated: Count
    deactivated: Count = Field(examples=[25])
    deactivated_absent: Count = Field(description="The part of `deactivated` that was on no row.", examples=[25])
    rejected: Count
    ignored: Count
    warnings: Count
    teams_created: Count
    locations_created: Count
    invitations: Count


class Guard(BaseModel):
    """Why an import is held."""

    reasons: list[Reason]
    limit_percent: float = Field(examples=[10])
    active: Count = Field(description="Users that were active before the import.", examples=[100])
    would_deactivate: Count = Field(examples=[25])


class Message(BaseModel):
    """A message about the file: an `error` rejected its row, a `warning` did not, a `notice` informs."""

    severity: Severity
    code: str = Field(description="Stable; docs/errors.md lists all codes.", examples=["invalid_email"])
    line: int | None = Field(description="The line of the file where the row begins.", examples=[17])
    column: str | None = Field(examples=["email"])
    value: str | None = Field(description="The cell, cut at 100 characters.", examples=["ann@example"])
    message: str = Field(
        description="A sentence that says what to do.",
        examples=["“ann@example” is not a valid email address. Fix it in the file."],
    )


class Import(BaseModel):
    """One import: a report without its messages."""

    id: int = Field(ge=1, description="Counted per tenant, from 1.", examples=[7])
    tenant: str = Field(examples=["acme"])
    state: State = Field(examples=["held"])
    dry_run: bool
    uploaded_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    file: FileFacts
    counts: Counts
    guard: Guard | None = Field(description="Why the import is or was held; null if it never was.")
    decided_by: str | None = Field(
        description="The name of the token that approved, discarded or undid it.", examples=["Ann (owner, token 3)"]
    )
    decided_at: Moment | None
    sent_by: str | None = Field(
        description="The comment of the token that sent the file by the page or the API; null: it came over SFTP.",
        examples=["Ann"],
    )
    message: str | None = Field(
        description="The reason of the state, or the first thing to check; null if the state says it all.",
        examples=["Held: this file would deactivate 25 of 100 active users. Approve or discard it."],
    )


class AdvisedColumn(BaseModel):
    """How one column of the file is read with the suggested settings."""

    header: str = Field(examples=["Vorname"])
    field: str | None = Field(
        description="The field that the column is read as; null: none.", examples=["first_name"]
    )
    certain: bool = Field(description="False: a guess; the column may have another meaning.")
    note: str = Field(examples=["Read as first_name, with the suggested settings."])


class Advice(BaseModel):
    """Settings that fit the file better, tested on a copy of the users."""

    columns: list[AdvisedColumn] = Field(description="Every column of the file.")
    settings: dict[str, Any] = Field(
        description="The settings to change, as a body for `PATCH /settings`; {}: none.",
        examples=[{"date_format": "%d.%m.%Y"}],
    )
    toml: str | None = Field(
        description="All settings with these changes, as a file for `headcount tenant load`. Entries to complete"
        " first are comments.",
        examples=['date_format = "%d.%m.%Y"\n'],
    )
    state: State | None = Field(
        description="The final state of the file with these settings; null: nothing to change."
    )
    counts: Counts | None = Field(description="The counts of the file with these settings.")
    sentences: list[str] = Field(
        description="The effect of the settings, and what a person must decide. A guess is named as one.",
        examples=[["With these settings, all 75 rows are applied."]],
    )
    gaps: list[str] = Field(description="Problems that no setting can fix.", examples=[["1 row has no last name."]])


class Report(Import):
    """The report of one import."""

    advice: Advice | None = Field(description="Null: none. It may come some seconds after the end of the import.")
    messages: list[Message] = Field(description="The first 100 messages; `/messages` has more.")


class Imports(BaseModel):
    """Newest first."""

    imports: list[Import]
    next: Next


class Messages(BaseModel):
    """Messages about the whole file first, then those of rows."""

    messages: list[Message]
    next: Next


class Touched(BaseModel):
    """One user that a held import or a dry run would change."""

    action: Action
    identifier: str | None = Field(examples=["ann@example.com"])
    email: str | None = Field(examples=["ann@example.com"])
    name: str = Field(examples=["Ann Smith"])
    absent: bool = Field(description="Whether the user would be deactivated because no row has it.")
    line: int | None = Field(None, description="The line of the user's row; null if no row has the user.")


class TouchedUsers(BaseModel):
    """The users that an import would change."""

    touched: list[Touched]
    next: Next


class AnyChange(BaseModel):
    """A change of one user by an import or its undo."""

    import_id: int = Field(examples=[7])
    at: Moment | None
    undo: bool = Field(description="Whether the undo of the import made this change.")
    identifier: str | None = Field(description="The current identifier of the user.", examples=["ann@example.com"])
    name: str | None = Field(examples=["Ann Smith"])
    old: Any = Field(examples=["Clerk"])
    new: Any = Field(examples=["Chief"])


class Change(AnyChange):
    """A change of one field of one user."""

    field: str = Field(description="A field, or `created` (without values).", examples=["job_title"])


class Changes(BaseModel):
    """Changes of users."""

    changes: list[Change]
    next: Next


class User(BaseModel):
    """One user, with the columns of the file."""

    first_name: str = Field(examples=["Ann"])
    last_name: str = Field(examples=["Smith"])
    email: str | None = Field(description="Null if another user has the address now.", examples=["ann@example.com"])
    job_title: str | None = Field(examples=["Clerk"])
    manager: str | None = Field(description="The identifier of a user.", examples=["grace@example.com"])
    coach: str | None = Field(description="The identifier of a user.", examples=["ada@example.com"])
    primary_team: str | None = Field(examples=["Sales"])
    secondary_team: list[str] = Field(examples=[["On-call"]])
    role: str = Field(json_schema_extra={"enum": list(ROLES)})
    language: str = Field(json_schema_extra={"enum": list(LANGUAGES)})
    location: str | None = Field(examples=["London"])
    time_zone: str | None = Field(description="An IANA name.", examples=["Europe/London"])
    hire_date: str | None = Field(json_schema_extra={"format": "date"}, examples=["2026-03-01"])
    leave_date: str | None = Field(
        description="The last day.", json_schema_extra={"format": "date"}, examples=["2026-03-31"]
    )
    state: UserState
    protected: bool = Field(description="Whether imports never deactivate the user.")
    custom: dict[str, Any] = Field(description="The custom fields by key, without blank ones.")


class Users(BaseModel):
    """In the order in which they were created."""

    users: list[User]
    next: Next


class SettingChange(BaseModel):
    """A change of one setting."""

    changed_at: Moment
    changed_by: str = Field(examples=["Ann (owner, token 3)"])
    key: str = Field(examples=["deactivate_missing"])
    old: Any
    new: Any


class SettingChanges(BaseModel):
    """Newest first."""

    changes: list[SettingChange]
    next: Next


class Wrong(BaseModel):
    """One fault of the request."""

    name: str = Field(description="The name of the parameter, field or setting.", examples=["limit"])
    detail: str = Field(examples=["must be at most 1000, not “5000”"])


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="A sentence that says what to do.", examples=["There is no import 9 of acme."])
    code: str | None = Field(None, description="Stable; docs/api.md lists all codes.", examples=["unknown_import"])
    errors: list[Wrong] = Field([], description="All faults of the request by name, if it has any.")
    next: int | None = Field(
        None, description="Only with `changes_gone`: where to follow from after all users were read again."
    )
