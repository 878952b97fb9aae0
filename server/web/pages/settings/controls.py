"""The control of each tenant setting in the form, with its choices and hints. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from importer.rules.cells import ROLES
from server.web.pages.settings.choices import DATES, DELIMITER_OPTIONS, ENCODINGS


class Kind(StrEnum):
    SWITCH = "switch"
    NUMBER = "number"
    PERCENT = "percent"
    SIZE = "size"
    CHOICE = "choice"
    OPEN = "open"
    LINE = "line"
    LIST = "list"
    MAPPING = "mapping"
    ROWS = "rows"
    HOOKS = "hooks"


def never(text: str) -> bool:
    """Return False: no value of the setting is dangerous by itself."""
    return False


def is_off(text: str) -> bool:
    return text == "off"


def is_all(text: str) -> bool:
    """Return whether a percentage lets everything pass."""
    return text.strip().removesuffix("%").rstrip() in ("100", "100.0", "100,0")


@dataclass(frozen=True, slots=True)
class Part:
    """One control in a row of a table. `lines`: it has several lines. `only`: the row type that it is shown for."""

    label: str
    options: Mapping[str, str] | None = None
    lines: bool = False
    hint: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """The control of one setting.

    `options` are the choices with their labels. An open choice has one more, to type a value into its part `other`.
    A table has rows of `parts`. Each row is called `row` and its number; a row with only blank parts is ignored.
    `careful` is a warning below the explanation; for the values of `alarms` the form stresses it. `instead` replaces
    an explanation that names values, where the form shows labels.
    """

    kind: Kind
    options: Mapping[str, str] | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    row: str = ""
    careful: str = ""
    alarms: Callable[[str], bool] = never
    instead: str | None = None


TYPES = {
    "text": "Text",
    "number": "Number",
    "date": "Date",
    "boolean": "Yes or no",
    "choice": "Choice",
}

LANGUAGE_NAMES = {
    "en": "English",
    "en-US": "English (United States)",
    "de": "German",
    "fr": "French",
    "es-CO": "Spanish (Colombia)",
    "it": "Italian",
    "nl": "Dutch",
    "pt-BR": "Portuguese (Brazil)",
    "pl": "Polish",
    "ja": "Japanese",
    "zh-CN": "Chinese (simplified)",
    "zh-TW": "Chinese (traditional)",
    "ar": "Arabic",
}

ROLE_NAMES = {role: role.replace("_", " ").capitalize() for role in ROLES} | {"hr": "HR"}

_DIGESTS = {"off": "Off", "weekly": "Every Monday"}
_INVITATIONS = {
    "off": "Off",
    "immediately": "Immediately after the import",
    "on_hire_date": "On the hire date",
}

_VALUES = {
    "field": Part("Field", {}),
    "values": Part(
        "Value in the file = Headcount value", lines=True, hint="One per line, such as: Manager = curator"
    ),
}
_CUSTOM = {
    "key": Part("Key", hint="The name of the column: a to z, digits and _. A different key is a different field."),
    "label": Part("Label", hint="The name on pages, such as: Employee number"),
    "type": Part("Type", TYPES),
    "choices": Part("Choices", lines=True, hint="One per line", only="choice"),
}
_TEMPLATE = {
    "language": Part("Language", LANGUAGE_NAMES),
    "subject": Part("Subject"),
    "text": Part("Text", lines=True),
}

_OTHER_ENCODING = Part("Other encoding", hint="A name that Python knows, such as iso8859-2.")
_OTHER_DATES = Part(
    "Other date format", hint="%Y stands for the year, %m for the month and %d for the day: %d.%m.%Y for 31.12.2026."
)
_COLUMNS = {"header": Part("Column in your files"), "field": Part("Field", {})}

SELDOM = frozenset(
    {
        *("require_final_newline", "max_deactivations_min", "max_creations_percent", "max_updates_percent"),
        *("max_row_drop_percent", "require_checksum"),
        *("kept_bytes", "quota_bytes", "quota_files", "max_file_bytes", "max_waiting_imports", "max_sessions"),
    }
)
"""Settings that few companies change: the form shows them below the others of their group."""

CONTROLS: Mapping[str, Control] = {
    "deactivate_missing": Control(
        Kind.SWITCH,
        careful="While this is on, users who are not in a file are deactivated. Before you turn it on, test it on "
        "the newest file: the test lists these users.",
    ),
    "reactivate_returning": Control(Kind.SWITCH),
    "identifier": Control(
        Kind.CHOICE,
        {"email": "Email address"},
        instead="The field that identifies a user: the email address, or a custom field such as an employee number. "
        "With a custom field, email addresses may change.",
        careful="Define the custom field first and send a file that has it. You can choose it when every active user "
        "has a unique value.",
    ),
    "blank_cells": Control(
        Kind.CHOICE,
        {"clear": "Clear the field", "keep": "Keep the value"},
        instead="In the columns deactivate and leave_date, a blank cell always counts as empty.",
    ),
    "delimiter": Control(
        Kind.CHOICE,
        DELIMITER_OPTIONS,
        instead="The character between cells: usually a comma, in many European systems a semicolon.",
    ),
    "encoding": Control(
        Kind.OPEN,
        ENCODINGS,
        {"other": _OTHER_ENCODING},
        instead="How your system writes letters. If é, ü or ł come out wrong, choose what your system writes.",
    ),
    "skip_first_lines": Control(Kind.NUMBER),
    "skip_last_lines": Control(Kind.NUMBER, careful="Set this only if your system writes these lines in every file."),
    "date_format": Control(
        Kind.OPEN, DATES, {"other": _OTHER_DATES}, instead="How your system writes dates. Each choice has an example."
    ),
    "field_mapping": Control(
        Kind.MAPPING,
        parts=_COLUMNS,
        row="Column",
        instead="One column per line: its name in your files, = and the field it stands for, such as: "
        "Vorname = first_name. With nothing after the =, the column is ignored.",
    ),
    "value_mapping": Control(Kind.ROWS, parts=_VALUES, row="Values"),
    "custom_fields": Control(Kind.ROWS, parts=_CUSTOM, row="Field"),
    "require_final_newline": Control(
        Kind.SWITCH,
        careful="While this is off, a cell that was cut short at the end of a file is applied.",
        alarms=is_off,
    ),
    "detect_truncation": Control(
        Kind.SWITCH,
        careful="While this is off, a complete list that was cut short is applied, and the users not in it are "
        "deactivated.",
        alarms=is_off,
    ),
    "max_deactivations_percent": Control(
        Kind.PERCENT,
        careful="At 100, an import is applied however many users it would deactivate.",
        alarms=is_all,
    ),
    "max_deactivations_min": Control(
        Kind.NUMBER, careful="In a small company, a high number lets a wrong file deactivate half of the users."
    ),
    "max_creations_percent": Control(Kind.PERCENT),
    "max_updates_percent": Control(Kind.PERCENT),
    "max_row_drop_percent": Control(
        Kind.PERCENT, careful="At 100, the number of rows never holds an import.", alarms=is_all
    ),
    "require_checksum": Control(Kind.SWITCH),
    "paused_until": Control(Kind.LINE),
    "paused_because": Control(Kind.LINE),
    "notify_email": Control(Kind.LIST),
    "notify_webhook": Control(Kind.LINE),
    "notify_digest": Control(
        Kind.CHOICE,
        _DIGESTS,
        instead="The email addresses get a mail every Monday at 06:00 UTC. It lists the imports of the week and what "
        "needs work.",
    ),
    "stale_after_days": Control(Kind.NUMBER),
    "invitations": Control(
        Kind.CHOICE,
        _INVITATIONS,
        instead="The hire date begins at midnight in the user’s time zone. A user without one is invited at once.",
        careful="The first file may invite every user in it. Turning invitations off cancels those that are not sent "
        "yet.",
    ),
    "invitation_templates": Control(Kind.ROWS, parts=_TEMPLATE, row="Invitation"),
    "hooks": Control(Kind.HOOKS),
    "hook_settings": Control(Kind.HOOKS),
    "retention_days": Control(Kind.NUMBER, careful="Deleted files and history cannot be recovered."),
    "kept_bytes": Control(Kind.SIZE, careful="Deleted files cannot be downloaded."),
    "quota_bytes": Control(Kind.SIZE),
    "quota_files": Control(Kind.NUMBER),
    "max_file_bytes": Control(Kind.SIZE),
    "max_waiting_imports": Control(Kind.NUMBER),
    "max_sessions": Control(Kind.NUMBER),
    "allowed_networks": Control(
        Kind.LIST, careful="A system outside these networks can no longer connect, even your own."
    ),
}
