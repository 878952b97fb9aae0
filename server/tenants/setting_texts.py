"""What every setting of a tenant is called and explained as, for people who look after users and not after servers.

The form on the page and the OpenAPI document show these; docs/settings.md is the longer text. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Group(StrEnum):
    """Settings that belong together, in the order in which they are shown; the value is the heading."""

    PEOPLE = "Who is in the file"
    FILE = "How your files look"
    SAFETY = "When an import waits for your approval"
    MESSAGES = "Who is told"
    INVITATIONS = "Invitations"
    STORAGE = "Storage and access"


@dataclass(frozen=True, slots=True)
class SettingText:
    """A short name for a setting, and what it does, in one or two sentences. `unit` is that of a number."""

    group: Group
    label: str
    explanation: str
    unit: str = ""


SETTING_TEXTS: Mapping[str, SettingText] = {
    "deactivate_missing": SettingText(
        Group.PEOPLE,
        "Every file is a complete list",
        "On: whoever is not in a file is deactivated. Off: a file holds only changes, and people who are not in it "
        "stay as they are.",
    ),
    "reactivate_returning": SettingText(
        Group.PEOPLE,
        "Reactivate people who come back",
        "On: a deactivated person who is in a file again becomes active. Off: they stay as they are, with a warning.",
    ),
    "identifier": SettingText(
        Group.PEOPLE,
        "What tells people apart",
        "email, or the key of one of your own fields such as an employee number; then addresses may change.",
    ),
    "blank_cells": SettingText(
        Group.PEOPLE,
        "What a blank cell means",
        "clear empties the field; keep leaves what is there.",
    ),
    "delimiter": SettingText(
        Group.FILE,
        "Character between cells",
        "Usually a comma; many European systems write a semicolon. Also possible: a tab (type the word tab) or |.",
    ),
    "encoding": SettingText(
        Group.FILE,
        "Encoding",
        "Usually utf-8. If names with accents or umlauts come out wrong, older Windows systems write cp1252.",
    ),
    "skip_first_lines": SettingText(
        Group.FILE,
        "Lines above the header",
        "So many lines at the beginning of every file are left out, such as titles. Blank lines count. Usually 0.",
    ),
    "skip_last_lines": SettingText(
        Group.FILE,
        "Lines below the last person",
        "So many lines at the end of every file are left out, such as totals. If one of them is a person, the import "
        "fails. Usually 0.",
    ),
    "date_format": SettingText(
        Group.FILE,
        "How dates are written",
        "%Y stands for the year, %m for the month, %d for the day: %d.%m.%Y for 31.12.2026, %m/%d/%Y for 12/31/2026.",
    ),
    "field_mapping": SettingText(
        Group.FILE,
        "What your columns are called",
        'The header in your file, and the field it stands for: "Vorname" for first_name. An empty field ignores the '
        "column.",
    ),
    "value_mapping": SettingText(
        Group.FILE,
        "What your values mean",
        "For a field, the value in your file and ours: for role, "
        '"Manager" for curator. An empty value counts as a blank cell.',
    ),
    "custom_fields": SettingText(
        Group.FILE,
        "Your own fields",
        "Further columns of your files: each with a key (the name of the column), a label and a type. A choice lists "
        "what may be chosen.",
    ),
    "require_final_newline": SettingText(
        Group.SAFETY,
        "The last line must be finished",
        "On: a last row without a line end is not applied, because the file may have been cut short.",
    ),
    "detect_truncation": SettingText(
        Group.SAFETY,
        "Wait if the file may have been cut short",
        "On: an import that would deactivate somebody waits for your approval if its file does not seem to be whole.",
    ),
    "max_deactivations_percent": SettingText(
        Group.SAFETY,
        "Most deactivations",
        "An import that would deactivate more than this part of the active people waits for your approval. 100 turns "
        "this off.",
        unit="percent",
    ),
    "max_deactivations_min": SettingText(
        Group.SAFETY,
        "Deactivations that are always fine",
        "So many people may be deactivated by one import without a question, whatever part of all they are.",
        unit="people",
    ),
    "max_creations_percent": SettingText(
        Group.SAFETY,
        "Most new people",
        "An import that would create or reactivate more than this part waits for your approval. Empty: no limit.",
        unit="percent",
    ),
    "max_updates_percent": SettingText(
        Group.SAFETY,
        "Most changed people",
        "An import that would change more than this part waits for your approval. Empty: no limit.",
        unit="percent",
    ),
    "max_row_drop_percent": SettingText(
        Group.SAFETY,
        "Most missing rows",
        "A file that has fewer rows than the last one by more than this part may have been cut short.",
        unit="percent",
    ),
    "require_checksum": SettingText(
        Group.SAFETY,
        "Wait for a check-sum",
        "On: an import waits, an hour at most, for sync_users.csv.sha256, and fails if the file differs from it.",
    ),
    "notify_email": SettingText(
        Group.MESSAGES,
        "E-mail addresses",
        "Who is told by e-mail how imports end, and which wait for approval. Several with commas between them.",
    ),
    "notify_webhook": SettingText(
        Group.MESSAGES,
        "Webhook",
        "A web address of one of your systems that is told the same, in signed messages.",
    ),
    "stale_after_days": SettingText(
        Group.MESSAGES,
        "Warn when no file comes",
        "After so many days without an applied file you are told once. Empty: never.",
        unit="days",
    ),
    "invitations": SettingText(
        Group.INVITATIONS,
        "Invite new people by e-mail",
        "off, immediately after the import that created them, or on_hire_date: on the morning of their first day.",
    ),
    "invitation_templates": SettingText(
        Group.INVITATIONS,
        "What invitations say",
        "Subject and text by language. {first_name}, {last_name}, {email}, {job_title}, {hire_date} and {tenant} are "
        "put in.",
    ),
    "retention_days": SettingText(
        Group.STORAGE,
        "How long uploads and history are kept",
        "Files, messages and the history of people are forgotten after so many days; never what is needed to undo "
        "the newest import.",
        unit="days",
    ),
    "kept_bytes": SettingText(
        Group.STORAGE,
        "Room for files of past imports",
        "Files of past imports can be downloaded. The oldest are deleted when they have more than this together; the "
        "file of the newest applied list is always kept. A size such as 500MB or 20GiB.",
        unit="bytes",
    ),
    "quota_bytes": SettingText(
        Group.STORAGE,
        "Room for your files",
        "The most that all files in the folder, and files whose imports wait, run or are held, may have together: at "
        "least 3 times your largest file. A size such as 500MB or 10GiB.",
        unit="bytes",
    ),
    "quota_files": SettingText(
        Group.STORAGE, "Number of files", "The most files and folders there may be.", unit="files"
    ),
    "max_file_bytes": SettingText(
        Group.STORAGE, "Largest file", "No file may be longer. A size such as 500MB or 2GiB.", unit="bytes"
    ),
    "max_waiting_imports": SettingText(
        Group.STORAGE,
        "Imports that wait",
        "A file is refused while so many imports wait. Lists that a newer one replaces do not count.",
        unit="imports",
    ),
    "max_sessions": SettingText(
        Group.STORAGE, "Connections at once", "So many SFTP connections may be open at the same time."
    ),
    "allowed_networks": SettingText(
        Group.STORAGE,
        "Where connections may come from",
        "Networks such as 192.0.2.0/24, with commas between them. Empty: from anywhere.",
    ),
}


def described(schema: dict[str, Any]) -> None:
    """Put the texts into the JSON schema of a model whose fields are settings."""
    for name, field in schema.get("properties", {}).items():
        text = SETTING_TEXTS[name]
        field.update(title=text.label, description=text.explanation)
