"""Labels and notices that several pages share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from importer.model import ImportState
from importer.rules.custom import CustomField

STATES = {
    ImportState.ARRIVING: "Arriving",
    ImportState.QUEUED: "Queued",
    ImportState.RUNNING: "Running",
    ImportState.COMPLETED: "Completed",
    ImportState.COMPLETED_WITH_ERRORS: "Completed with rejected rows",
    ImportState.UNCHANGED: "No changes",
    ImportState.HELD: "Held: decision needed",
    ImportState.DISCARDED: "Discarded",
    ImportState.FAILED: "Failed",
    ImportState.SUPERSEDED: "Replaced by a newer file",
    ImportState.UNDONE: "Undone",
    ImportState.ABORTED: "Upload interrupted",
    ImportState.IGNORED: "Ignored: wrong file name",
}
"""The labels of the states of an import."""

FIELDS = {
    "first_name": "First name",
    "last_name": "Last name",
    "email": "Email",
    "job_title": "Job title",
    "manager": "Manager",
    "coach": "Coach",
    "primary_team": "Primary team",
    "secondary_team": "Secondary teams",
    "role": "Role",
    "language": "Language",
    "location": "Location",
    "time_zone": "Time zone",
    "hire_date": "Hire date",
    "leave_date": "Leave date",
    "state": "State",
    "created": "Created",
    "external_id": "Identifier",
}
"""The labels of the fields of a user, and of what the history records besides."""

ACTIONS = {
    "deactivated": "deactivate",
    "created": "create",
    "reactivated": "reactivate",
    "updated": "update",
}
"""The verbs for what a held import or a dry run would do to users, by the name of the count."""

SEVERITIES = {"error": "Error", "warning": "Warning", "notice": "Notice"}
"""The labels of the severities of messages, the most severe first."""

NOTICES = {
    "signed-out": "You are signed out.",
    "link-requested": "If a token has this address, a mail is on its way. Its link works for 10 minutes.",
    "settings-saved": "Settings saved. The next import uses them.",
    "key-added": "Key added. It can be used now.",
    "key-revoked": "Key revoked. Its open connections end within seconds.",
    "company-added": "Company added. Create a token for its owner below, and add a key on the page Keys.",
    "company-removed": "Company removed. Its folder was moved to removed/.",
    "company-put-aside": "Company removed. Its users and files are deleted after 30 days.",
    "token-changed": "Token changed.",
    "token-revoked": "Token revoked. Its holder is signed out.",
    "settings-same": "No changes to save.",
    "approved": "Approved and queued.",
    "discarded": "Discarded: nothing was changed.",
    "undoing": "The undo is queued.",
    "run-again": "Queued again, after all other files of its hook.",
    "paused": "The imports are paused. Files land and wait.",
    "resumed": "The pause has ended. Waiting files are imported in order.",
    "test-queued": "A test is queued for every address. The list below shows its state: reload the page.",
    "user-protected": "No import deactivates this user.",
    "user-unprotected": "Imports may deactivate this user again.",
    "ban-lifted": "Ban lifted. The address can connect within a second.",
    "testing": "File received. The test changes nothing.",
    "sent": "File sent. Its import is queued.",
}
"""The notice at the top of the page that follows an action, by its code (`notices.redirect`)."""


def labels_of(custom: Iterable[CustomField]) -> dict[str, str]:
    """Return the label of every field of a tenant's users: built-in fields, then custom fields."""
    return {**FIELDS, **{field.key: field.label or field.key for field in custom}}


def value_text(value: Any) -> str:
    """Return the value of a field as text; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
