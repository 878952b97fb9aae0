"""The words of the pages that are said in more than one place. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from importer.model import ImportState
from importer.rules.custom import CustomField

STATES = {
    ImportState.ARRIVING: "Arriving",
    ImportState.QUEUED: "Waiting",
    ImportState.RUNNING: "Running",
    ImportState.COMPLETED: "Completed",
    ImportState.COMPLETED_WITH_ERRORS: "Completed, with rejected rows",
    ImportState.UNCHANGED: "Nothing to change",
    ImportState.HELD: "Held: needs a decision",
    ImportState.DISCARDED: "Discarded",
    ImportState.FAILED: "Failed",
    ImportState.SUPERSEDED: "Replaced by a newer file",
    ImportState.UNDONE: "Undone",
    ImportState.ABORTED: "Upload broke off",
    ImportState.IGNORED: "Ignored: wrong name",
}
"""What a person calls the states of an import."""

FIELDS = {
    "first_name": "First name",
    "last_name": "Last name",
    "email": "E-mail",
    "job_title": "Job title",
    "manager": "Manager",
    "coach": "Coach",
    "primary_team": "Team",
    "secondary_team": "Further teams",
    "role": "Role",
    "language": "Language",
    "location": "Location",
    "time_zone": "Time zone",
    "hire_date": "Hire date",
    "leave_date": "Last day",
    "state": "State",
    "created": "Created",
    "external_id": "Identifier",
}
"""What a person calls the fields of a user, and what history says of one."""

ACTIONS = {
    "deactivated": "would lose access",
    "created": "would join",
    "reactivated": "would come back",
    "updated": "would change",
}
"""What a held import or a dry run would do to people."""

SEVERITIES = {"error": "Error", "warning": "Warning", "notice": "Notice"}
"""How grave a message is."""

NOTICES = {
    "signed-out": "You are signed out.",
    "settings-saved": "Your changes are saved. The next import obeys them.",
    "key-added": "The key is added: it can be used at once.",
    "key-revoked": "The key is revoked. Connections that it has opened end within seconds.",
    "settings-same": "Nothing was different, so nothing was saved.",
    "approved": "Approved: it runs as soon as it is its turn.",
    "discarded": "Discarded: nothing was changed.",
    "undoing": "The undo has begun.",
    "trying": "Your file has arrived. Trying it changes nothing.",
}
"""What is said at the top of the page that follows something done."""


def labels_of(custom: Iterable[CustomField]) -> dict[str, str]:
    """What to call every field of a tenant's users: ours, then its own."""
    return {**FIELDS, **{field.key: field.label or field.key for field in custom}}


def value_text(value: Any) -> str:
    """The value of a field for people; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
