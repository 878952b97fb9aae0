"""Which control each setting of a tenant has in the form, and what is offered there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    SWITCH = "switch"
    NUMBER = "number"
    PERCENT = "percent"
    SIZE = "size"
    CHOICE = "choice"
    LINE = "line"
    LIST = "list"
    MAPPING = "mapping"
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Part:
    """One control of a row of a table; `lines` if it may hold several. With `only` it is for rows of that type."""

    label: str
    options: Mapping[str, str] | None = None
    lines: bool = False
    hint: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """`options` are what can be chosen, or is suggested for a line, with what people call it.

    A table has rows of `parts`, each called `row` and its number; a row is none in which all are blank that can be.
    `careful` is what to know before the setting is changed; `instead` stands for an explanation that speaks of values
    which here are chosen by what they are called.
    """

    kind: Kind
    options: Mapping[str, str] | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    row: str = ""
    careful: str = ""
    instead: str | None = None


DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""What a delimiter is called in the form, which can't show a tab."""

TYPES = {
    "text": "Text",
    "number": "Number",
    "date": "Date",
    "boolean": "Yes or no",
    "choice": "One of several",
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

_DELIMITER_OPTIONS = {"comma": "Comma (,)", "semicolon": "Semicolon (;)", "tab": "Tab", "pipe": "Bar (|)"}
_ENCODINGS = {
    "utf-8": "Unicode, the usual one",
    "cp1252": "Windows, Western Europe",
    "cp1250": "Windows, Central Europe",
    "cp1251": "Windows, Cyrillic",
    "latin-1": "ISO 8859-1",
    "utf-16": "Unicode in two bytes",
    "cp932": "Windows, Japanese",
    "gb18030": "Chinese",
}
_DATES = {
    "%Y-%m-%d": "2026-12-31",
    "%d.%m.%Y": "31.12.2026",
    "%d/%m/%Y": "31/12/2026",
    "%m/%d/%Y": "12/31/2026",
    "%Y%m%d": "20261231",
}
_INVITATIONS = {
    "off": "No",
    "immediately": "At once, after the import",
    "on_hire_date": "On the morning of their first day",
}

_VALUES = {
    "field": Part("Field", {}),
    "values": Part("Their value = ours", lines=True, hint="One a line, such as: Manager = curator"),
}
_CUSTOM = {
    "key": Part("Key", hint="The column of your files: a to z, digits and _. Another key is another field."),
    "label": Part("Label", hint="What people read, such as: Employee number"),
    "type": Part("Type", TYPES),
    "choices": Part("Choices", lines=True, hint="One a line", only="choice"),
}
_TEMPLATE = {
    "language": Part("Language", LANGUAGE_NAMES),
    "subject": Part("Subject"),
    "text": Part("Text", lines=True),
}

CONTROLS: Mapping[str, Control] = {
    "deactivate_missing": Control(
        Kind.SWITCH,
        careful="Before you turn this on, try it on the last file: you will see who would be deactivated.",
    ),
    "reactivate_returning": Control(Kind.SWITCH),
    "identifier": Control(
        Kind.CHOICE,
        {"email": "E-mail address"},
        instead="With a field of your own, such as an employee number, people may change their e-mail address.",
        careful="Define the field first and send a file that has it; this can be changed as soon as everybody active "
        "has a value of their own.",
    ),
    "blank_cells": Control(Kind.CHOICE, {"clear": "Empties the field", "keep": "Leaves what is there"}, instead=""),
    "delimiter": Control(
        Kind.CHOICE, _DELIMITER_OPTIONS, instead="Usually a comma; many European systems write a semicolon."
    ),
    "encoding": Control(Kind.LINE, _ENCODINGS),
    "skip_first_lines": Control(Kind.NUMBER),
    "skip_last_lines": Control(Kind.NUMBER, careful="Set it only if your system writes these lines in every file."),
    "date_format": Control(Kind.LINE, _DATES),
    "field_mapping": Control(Kind.MAPPING),
    "value_mapping": Control(Kind.ROWS, parts=_VALUES, row="Values"),
    "custom_fields": Control(Kind.ROWS, parts=_CUSTOM, row="Field"),
    "require_final_newline": Control(Kind.SWITCH),
    "detect_truncation": Control(
        Kind.SWITCH,
        careful="While this is off, half a file is taken for a whole one, and who is missing from it is deactivated.",
    ),
    "max_deactivations_percent": Control(
        Kind.PERCENT, careful="At 100 nobody is asked, however many people a file would deactivate."
    ),
    "max_deactivations_min": Control(Kind.NUMBER),
    "max_creations_percent": Control(Kind.PERCENT),
    "max_updates_percent": Control(Kind.PERCENT),
    "max_row_drop_percent": Control(Kind.PERCENT),
    "require_checksum": Control(Kind.SWITCH),
    "notify_email": Control(Kind.LIST),
    "notify_webhook": Control(Kind.LINE),
    "stale_after_days": Control(Kind.NUMBER),
    "invitations": Control(
        Kind.CHOICE, _INVITATIONS, instead="", careful="Turning them off withdraws those that were not sent yet."
    ),
    "invitation_templates": Control(Kind.ROWS, parts=_TEMPLATE, row="Invitation"),
    "retention_days": Control(Kind.NUMBER, careful="What has been forgotten can't be brought back."),
    "kept_bytes": Control(Kind.SIZE, careful="Files that were deleted cannot be downloaded again."),
    "quota_bytes": Control(Kind.SIZE),
    "quota_files": Control(Kind.NUMBER),
    "max_file_bytes": Control(Kind.SIZE),
    "max_waiting_imports": Control(Kind.NUMBER),
    "max_sessions": Control(Kind.NUMBER),
    "allowed_networks": Control(
        Kind.LIST, careful="With a network that is not yours your own system can't connect any more."
    ),
}
