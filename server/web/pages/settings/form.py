"""What stands in the form of a tenant's settings, and what is wanted by whoever sends it back. Pure.

What comes back as it was shown is no change: whatever a browser does to a text, and whatever a form can't show, only
what somebody has touched is set. What does not come back at all stays as it is, too.

Names of controls are those of the settings; a table of rows has one for each part, such as `custom_fields.0.key`. A
switch sends `off`, and `on` besides if it is on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.web.pages.settings.controls import CONTROLS, DELIMITERS, Control, Kind
from server.web.pages.settings.notation import (
    NotReadable,
    lines,
    mapping_lines,
    number_text,
    quoted,
    read_mapping,
    size_text,
    unquoted,
)

Typed = Mapping[str, str]
"""What stands in each control."""

ROWS = "rows"
"""What says that a table was sent, even if no row of it is left."""

_GROUPED = re.compile(r"\d+([.,'\s]\d+)+")
_PERCENT = re.compile(r"(\d+),(\d+)")


@dataclass(slots=True)
class Wanted:
    """What a form asks for: settings to change (None: back to the default), and what can't be read, by setting."""

    changes: dict[str, Any] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def shown(values: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the form for settings with these values (as JSON has them)."""
    return {name: text for setting in CONTROLS for name, text in shown_setting(setting, values[setting]).items()}


def shown_setting(setting: str, value: Any) -> dict[str, str]:
    """The same of one setting."""
    control = CONTROLS[setting]
    if control.kind is not Kind.ROWS:
        return {setting: _text(setting, control, value)}
    rows = _ROWS_OF[setting](value)
    return {
        setting: ROWS,
        **{f"{setting}.{i}.{part}": text for i, row in enumerate(rows) for part, text in row.items()},
    }


def as_sent(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What came from a browser, with line ends as we write them. Of two of one name the last counts."""
    return {name: _line_ends(text) for name, text in pairs}


def wanted(typed: Typed, seen: Mapping[str, Any]) -> Wanted:
    """What whoever was shown settings with the values `seen`, and sent `typed`, wants to be different."""
    found = Wanted()
    for setting in touched(typed, seen):
        try:
            found.changes[setting] = _read(setting, CONTROLS[setting], typed)
        except NotReadable as error:
            found.unreadable[setting] = str(error)
    return found


def touched(typed: Typed, seen: Mapping[str, Any]) -> list[str]:
    """The settings whose controls came back otherwise than they were shown for the values `seen`."""
    before = shown(seen)
    return [
        setting for setting in CONTROLS if setting in typed and _of(typed, setting) != _plain(_of(before, setting))
    ]


def put_together(typed: Typed, mine: Iterable[str], now: Mapping[str, Any]) -> dict[str, str]:
    """The form for the values `now`, but what was `typed` for the settings `mine`."""
    form = shown(now)
    for setting in mine:
        form = {name: text for name, text in form.items() if not _belongs(name, setting)} | _of(typed, setting)
    return form


def rows_of(typed: Typed, setting: str) -> list[dict[str, str]]:
    """The rows of a table, in their order; a part that is missing is blank."""
    parts = CONTROLS[setting].parts
    numbers = {int(found[1]) for name in typed if (found := re.fullmatch(rf"{setting}\.(\d{{1,6}})\.\w+", name))}
    return [{part: typed.get(f"{setting}.{number}.{part}", "") for part in parts} for number in sorted(numbers)]


def with_row(typed: Typed, setting: str) -> dict[str, str]:
    """The form with one more row, a blank one, at the end of the table."""
    return _with_rows(typed, setting, [*rows_of(typed, setting), dict.fromkeys(CONTROLS[setting].parts, "")])


def without_row(typed: Typed, setting: str, number: int) -> dict[str, str]:
    """The form without the row of this number, counted from 0, if there is one."""
    return _with_rows(typed, setting, [row for i, row in enumerate(rows_of(typed, setting)) if i != number])


def _text(setting: str, control: Control, value: Any) -> str:
    if control.kind is Kind.SWITCH:
        return "on" if value else "off"
    if control.kind in (Kind.NUMBER, Kind.PERCENT):
        return number_text(value)
    if control.kind is Kind.SIZE:
        return size_text(value)
    if control.kind is Kind.LIST:
        return ", ".join(value)
    if control.kind is Kind.MAPPING:
        return mapping_lines(value)
    if setting == "delimiter":
        return DELIMITERS.get(str(value), str(value))
    return str(value or "")


def _custom_field_rows(value: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{**each, "choices": "\n".join(quoted(choice) for choice in each["choices"])} for each in value]


def _value_mapping_rows(value: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"field": name, "values": mapping_lines(values)} for name, values in value.items()]


def _template_rows(value: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"language": language, **template} for language, template in value.items()]


_ROWS_OF: dict[str, Callable[[Any], list[dict[str, str]]]] = {
    "custom_fields": _custom_field_rows,
    "value_mapping": _value_mapping_rows,
    "invitation_templates": _template_rows,
}


def _read(setting: str, control: Control, typed: Typed) -> Any:
    if control.kind is Kind.ROWS:
        return _READ_ROWS[setting]([row for row in rows_of(typed, setting) if _is_filled(control, row)])
    text = typed[setting].strip()
    if control.kind is Kind.SWITCH:
        return text == "on"
    if control.kind is Kind.MAPPING:
        return read_mapping(text)
    if control.kind is Kind.PERCENT:
        text = _PERCENT.sub(r"\1.\2", text.removesuffix("%").rstrip())
    if control.kind is Kind.NUMBER and _GROUPED.fullmatch(text):
        raise NotReadable(f"must be a whole number in digits alone, such as 10000, not {text!r}")
    return text or None


def _read_custom_fields(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "key": row["key"].strip(),
            "label": row["label"].strip(),
            "type": row["type"] or "text",
            "choices": [unquoted(line) for line in lines(row["choices"])],
        }
        for row in rows
    ]


def _read_value_mapping(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {name: read_mapping(row["values"]) for name, row in _by(rows, "field", "the field").items()}


def _read_templates(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    by_language = _by(rows, "language", "the language")
    return {name: {"subject": row["subject"], "text": row["text"]} for name, row in by_language.items()}


_READ_ROWS: dict[str, Callable[[Sequence[Mapping[str, str]]], Any]] = {
    "custom_fields": _read_custom_fields,
    "value_mapping": _read_value_mapping,
    "invitation_templates": _read_templates,
}


def _by(rows: Sequence[Mapping[str, str]], part: str, called: str) -> dict[str, Mapping[str, str]]:
    """The rows by what stands in `part`. Raises NotReadable for none, and for one twice."""
    found: dict[str, Mapping[str, str]] = {}
    for number, row in enumerate(rows, 1):
        if not row[part]:
            raise NotReadable(f"entry {number}: choose {called}")
        if row[part] in found:
            raise NotReadable(f"entry {number}: {called} {row[part]} is chosen twice; put the two together")
        found[row[part]] = row
    return found


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(form: Typed) -> dict[str, str]:
    """A form as a browser sends it back: with its own line ends, and none where there is one line; without NUL."""
    sent = {name: _line_ends(text).replace("\0", "\ufffd") for name, text in form.items()}
    return {name: text if _has_lines(name) else text.replace("\n", "") for name, text in sent.items()}


def _has_lines(name: str) -> bool:
    setting, _, part = name.partition(".")
    control = CONTROLS[setting]
    return control.kind is Kind.MAPPING or bool(part and control.parts[part.rpartition(".")[2]].lines)


def _is_filled(control: Control, row: Mapping[str, str]) -> bool:
    """Whether anything is in the row that was not in a new one."""
    return any(row[name].strip() for name in control.parts if name != "type")


def _belongs(name: str, setting: str) -> bool:
    return name == setting or name.startswith(f"{setting}.")


def _of(form: Typed, setting: str) -> dict[str, str]:
    return {name: text for name, text in form.items() if _belongs(name, setting)}


def _with_rows(typed: Typed, setting: str, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    rest = {name: text for name, text in typed.items() if not _belongs(name, setting)}
    return {
        **rest,
        setting: ROWS,
        **{f"{setting}.{i}.{part}": row[part] for i, row in enumerate(rows) for part in row},
    }
