"""The label and explanation of every setting of a tenant, for HR staff.

The settings form and the OpenAPI document show them; docs/settings.md has the longer text. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Group(StrEnum):
    """The groups of settings, in display order; the value is the heading."""

    USERS = "Users"
    FILE = "File format"
    SAFETY = "Safety checks"
    PAUSE = "Pause"
    NOTIFICATIONS = "Notifications"
    INVITATIONS = "Invitations"
    HOOKS = "Hooks"
    STORAGE = "Storage and access"


@dataclass(frozen=True, slots=True)
class SettingText:
    """The label of a setting and one to four sentences that explain it. `unit` is the unit of a number."""

    group: Group
    label: str
    explanation: str
    unit: str = ""


SETTING_TEXTS: Mapping[str, SettingText] = {
    "deactivate_missing": SettingText(
        Group.USERS,
        "Every file is a complete list",
        "On: active users who are not in a file are deactivated. Off: a file is a list of changes, and users who "
        "are not in it stay as they are.",
    ),
    "reactivate_returning": SettingText(
        Group.USERS,
        "Reactivate returning users",
        "On: a deactivated user who is in a file again is reactivated. Off: the user stays deactivated and "
        "unchanged, with a warning.",
    ),
    "identifier": SettingText(
        Group.USERS,
        "Identifier",
        "The field that identifies a user: email, or the key of a custom field such as an employee number. Then "
        "addresses may change.",
    ),
    "blank_cells": SettingText(
        Group.USERS,
        "Blank cells",
        "clear empties the field; keep leaves its value. A blank cell in deactivate or leave_date always counts "
        "as empty.",
    ),
    "delimiter": SettingText(
        Group.FILE,
        "Delimiter",
        "The character between cells. Usually a comma; many European systems write a semicolon. Also possible: a "
        "tab (type the word tab) or |.",
    ),
    "encoding": SettingText(
        Group.FILE,
        "Encoding",
        "Usually utf-8. If letters such as é, ü or ł come out wrong, set what your system writes: on older Windows "
        "systems cp1252 (Western Europe) or cp1250 (Central Europe).",
    ),
    "skip_first_lines": SettingText(
        Group.FILE,
        "Lines above the header",
        "This many lines at the start of every file are left out, such as titles. Blank lines count. Usually 0.",
    ),
    "skip_last_lines": SettingText(
        Group.FILE,
        "Lines below the last user",
        "This many lines at the end of every file are left out, such as totals. If one of them is a user, the "
        "import fails. Usually 0.",
    ),
    "date_format": SettingText(
        Group.FILE,
        "Date format",
        "%Y stands for the year, %m for the month, %d for the day: %d.%m.%Y for 31.12.2026, %m/%d/%Y for 12/31/2026.",
    ),
    "field_mapping": SettingText(
        Group.FILE,
        "Column names",
        "The name of a column in your files and the field it stands for, such as “Vorname” for first_name. "
        "Without a field, the column is ignored.",
    ),
    "value_mapping": SettingText(
        Group.FILE,
        "Values",
        "For a field, a value in your files and the value it means: for role, “Manager” can mean curator. "
        "Without a meaning, it counts as a blank cell.",
    ),
    "custom_fields": SettingText(
        Group.FILE,
        "Custom fields",
        "More columns of your files, each with a key (the name of the column), a label and a type. A choice "
        "lists its allowed values.",
    ),
    "require_final_newline": SettingText(
        Group.SAFETY,
        "Reject an unfinished last row",
        "On: a last row without a line end is rejected, because the file may be incomplete.",
    ),
    "detect_truncation": SettingText(
        Group.SAFETY,
        "Hold incomplete files",
        "On: an import is held if its file may be incomplete and it would deactivate users who are not in the file.",
    ),
    "max_deactivations_percent": SettingText(
        Group.SAFETY,
        "Deactivation limit",
        "An import that would deactivate more than this share of the active users, or more than half of them, is "
        "held. 100 turns this off.",
        unit="percent",
    ),
    "max_deactivations_min": SettingText(
        Group.SAFETY,
        "Small deactivations",
        "Up to this many deactivations never exceed the deactivation limit. Deactivations of more than half "
        "of the active users (at least 2) are held anyway, unless the limit is 100.",
        unit="users",
    ),
    "max_creations_percent": SettingText(
        Group.SAFETY,
        "Creation limit",
        "An import that would create or reactivate more users than this share of the active users is held. The "
        "limit does not apply while there are no users. Empty: no limit.",
        unit="percent",
    ),
    "max_updates_percent": SettingText(
        Group.SAFETY,
        "Update limit",
        "An import that would update more than this share of the active users is held. Empty: no limit.",
        unit="percent",
    ),
    "max_row_drop_percent": SettingText(
        Group.SAFETY,
        "Row drop limit",
        "A file may be incomplete if it has fewer rows than the previous applied file, by more than this share.",
        unit="percent",
    ),
    "require_checksum": SettingText(
        Group.SAFETY,
        "Require a checksum",
        "On: an import waits at most 60 minutes for sync_users.csv.sha256. It fails if no checksum comes or the "
        "file does not match it.",
    ),
    "paused_until": SettingText(
        Group.PAUSE,
        "Pause until",
        "Files land and wait until this time. Then they are imported in order. Dry runs, approvals and undo go on. "
        "Write the zone, too, such as 2026-12-31T08:00Z. Empty: no pause.",
    ),
    "paused_because": SettingText(
        Group.PAUSE,
        "Reason of the pause",
        "The page Imports and every waiting import show it.",
    ),
    "notify_email": SettingText(
        Group.NOTIFICATIONS,
        "Email addresses",
        "These addresses get a mail when an import changes users, rejects rows, is held or fails, when an upload "
        "is interrupted, when no file comes, and when a pause ends. Also when a file of a hook fails, has errors or "
        "is refused. Separate several with commas.",
    ),
    "notify_webhook": SettingText(
        Group.NOTIFICATIONS,
        "Webhook",
        "The web address of one of your systems. It gets the same notifications, as signed messages. It gets "
        "one for every file that a hook has read, too.",
    ),
    "notify_digest": SettingText(
        Group.NOTIFICATIONS,
        "Weekly digest",
        "weekly: the email addresses get a mail every Monday at 06:00 UTC. It lists the imports of the week, and "
        "what needs work. off: none.",
    ),
    "stale_after_days": SettingText(
        Group.NOTIFICATIONS,
        "Warn when no file comes",
        "If no file is applied for this many days, you are notified once. Empty: never.",
        unit="days",
    ),
    "invitations": SettingText(
        Group.INVITATIONS,
        "Invite new users by email",
        "off; immediately, after the import that created the user; or on_hire_date, from the start of that day "
        "in the user's time zone. A user without a future hire date is invited at once. An invitation needs a link: "
        "add one to each invitation text.",
    ),
    "invitation_templates": SettingText(
        Group.INVITATIONS,
        "Invitation texts",
        "Subject and text by language. These names are filled in: {first_name}, {last_name}, {email}, "
        "{job_title}, {hire_date} and {tenant}.",
    ),
    "hooks": SettingText(
        Group.HOOKS,
        "Hooks that are on",
        "A hook handles each file that lands at its path. While it is off, these files are only stored. The import "
        "of users is always on.",
    ),
    "hook_settings": SettingText(
        Group.HOOKS,
        "Settings of hooks",
        "Each hook may have settings of its own. Owners and viewers can read them. Do not enter passwords.",
    ),
    "retention_days": SettingText(
        Group.STORAGE,
        "Keep uploads and history",
        "Uploads, messages and the history of users are deleted after this many days. The data that the next "
        "undo needs is always kept.",
        unit="days",
    ),
    "kept_bytes": SettingText(
        Group.STORAGE,
        "Storage for past files",
        "You can download the files of past imports. If they and the files of failed runs take more than this "
        "together, the oldest are deleted. The newest applied file, not counting correction files, is always "
        "kept. A size such as 500MB or 20GiB.",
        unit="bytes",
    ),
    "quota_bytes": SettingText(
        Group.STORAGE,
        "Storage quota",
        "All your files may take at most this together, with the files of imports that are queued, running or "
        "held, and of runs that wait. Allow at least 3 times your largest file. A size such as 500MB or 10GiB.",
        unit="bytes",
    ),
    "quota_files": SettingText(
        Group.STORAGE,
        "Number of files",
        "You can store at most this many files and folders.",
        unit="files",
    ),
    "max_file_bytes": SettingText(
        Group.STORAGE,
        "Largest file",
        "A larger file is refused. A size such as 500MB or 2GiB.",
        unit="bytes",
    ),
    "max_waiting_imports": SettingText(
        Group.STORAGE,
        "Queued imports",
        "A file is refused while this many imports are queued. Dry runs count; complete lists that a newer one "
        "replaces do not.",
        unit="imports",
    ),
    "max_sessions": SettingText(
        Group.STORAGE,
        "Concurrent connections",
        "At most this many SFTP connections can be open at the same time.",
    ),
    "allowed_networks": SettingText(
        Group.STORAGE,
        "Allowed networks",
        "Only computers in these networks, such as 192.0.2.0/24, can connect over SFTP. Separate several with "
        "commas. Empty: any network.",
    ),
}


def add_texts(schema: dict[str, Any]) -> None:
    """Add the labels and explanations to the JSON schema of a model whose fields are settings."""
    for name, field in schema.get("properties", {}).items():
        text = SETTING_TEXTS[name]
        field.update(title=text.label, description=text.explanation)
