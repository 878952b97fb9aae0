"""Convert settings to the content of the form, and a form that was sent to the settings to change. Pure.

Only settings whose controls the owner changed are set. A control that is sent as it was shown changes nothing, even
if the browser altered its text or the form cannot show the value. A control that is not sent changes nothing, either.

A control has the name of its setting. A table has one control for each part of a row, such as `custom_fields.0.key`.
A switch sends `off`, and also `on` if it is on. An open choice also sends the value that was typed, such as
`encoding.other`. A mapping is text, or a table (mapping.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from importer.file.header import Names
from server.web.pages.settings.choices import DELIMITERS, OTHER, option_of
from server.web.pages.settings.controls import CONTROLS, Control, Kind
from server.web.pages.settings.hooks import Faces, hooks_edited, hooks_read, hooks_shown, hooks_touched
from server.web.pages.settings.mapping import mapping_of, rows_for
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
"""The text of each control, by name."""

ROWS = "rows"
"""The value that a table's own control sends, so that a table without rows is sent, too. No mapping has this text."""

_GROUPED = re.compile(r"\d+([.,'\s]\d+)+")
_PERCENT = re.compile(r"(\d+),(\d+)")


@dataclass(slots=True)
class Wanted:
    """The settings to change (None: reset to the default), and an error for each setting that cannot be read."""

    changes: dict[str, Any] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def shown(values: Mapping[str, Any], faces: Faces = ()) -> dict[str, str]:
    """Return the content of the form for settings with these values (as in JSON). `faces` are the server's hooks."""
    settings = {name: text for setting in CONTROLS for name, text in shown_setting(setting, values[setting]).items()}
    return settings | hooks_shown(faces, values)


def shown_setting(setting: str, value: Any) -> dict[str, str]:
    """Return the content of the controls of one setting, but those of hooks."""
    control = CONTROLS[setting]
    if control.kind is Kind.HOOKS:
        return {}
    if control.kind is Kind.OPEN:
        option = option_of(value, control.options or {})
        return {setting: option, f"{setting}.other": value if option == OTHER else ""}
    if control.kind is not Kind.ROWS:
        return {setting: _text(setting, control, value)}
    return with_rows({}, setting, _ROWS_OF[setting](value))


def as_sent(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what a browser sent, with line ends as LF. The last of two controls of one name counts."""
    return {name: _line_ends(text) for name, text in pairs}


def wanted(typed: Typed, seen: Mapping[str, Any], faces: Faces = ()) -> Wanted:
    """Return what to change: the form was shown with the values `seen` and sent as `typed`."""
    found = Wanted()
    for setting in touched(typed, seen, faces):
        try:
            if CONTROLS[setting].kind is Kind.HOOKS:
                found.changes[setting] = hooks_read(faces, setting, typed, seen)
            else:
                found.changes[setting] = _read(setting, CONTROLS[setting], typed, seen)
        except NotReadable as error:
            found.unreadable[setting] = str(error)
    return found


def touched(typed: Typed, seen: Mapping[str, Any], faces: Faces = ()) -> list[str]:
    """Return the settings whose controls differ from the form for the values `seen`."""
    before, hooks = _plain(shown(seen)), hooks_touched(faces, typed, seen)
    return [
        setting
        for setting in CONTROLS
        if setting in hooks or (setting in typed and _differs(typed, setting, before, seen))
    ]


def put_together(typed: Typed, seen: Mapping[str, Any], now: Mapping[str, Any], faces: Faces = ()) -> dict[str, str]:
    """Return the form for the values `now`, with what was `typed` into the form for the values `seen`.

    A setting is taken over as a whole, but each control of hooks by itself.
    """
    form = shown(now, faces)
    for setting in touched(typed, seen):
        form = {name: text for name, text in form.items() if not _belongs(name, setting)} | _of(typed, setting)
    return form | {name: typed[name] for name in hooks_edited(faces, typed, seen)}


def is_table(typed: Typed, setting: str) -> bool:
    """Return whether a mapping was sent as a table, not as text."""
    return CONTROLS[setting].kind is Kind.MAPPING and typed.get(setting) == ROWS


def as_table(typed: Typed, setting: str, header: Sequence[str], names: Names) -> dict[str, str]:
    """Return the form with the text of a mapping as a table for a file with this `header`.

    Without a header, or if the text cannot be read, the text stays.
    """
    if not header or setting not in typed or is_table(typed, setting):
        return dict(typed)
    try:
        return with_rows(typed, setting, rows_for(read_mapping(typed[setting]), header, names))
    except NotReadable:
        return dict(typed)


def rows_of(typed: Typed, setting: str) -> list[dict[str, str]]:
    """Return the rows of a table, in order. A missing part is blank."""
    parts = CONTROLS[setting].parts
    numbers = {int(found[1]) for name in typed if (found := re.fullmatch(rf"{setting}\.(\d{{1,6}})\.\w+", name))}
    return [{part: typed.get(f"{setting}.{number}.{part}", "") for part in parts} for number in sorted(numbers)]


def with_row(typed: Typed, setting: str) -> dict[str, str]:
    """Return the form with a blank row at the end of the table."""
    return with_rows(typed, setting, [*rows_of(typed, setting), dict.fromkeys(CONTROLS[setting].parts, "")])


def without_row(typed: Typed, setting: str, number: int) -> dict[str, str]:
    """Return the form without the row of this number (from 0), if there is one."""
    return with_rows(typed, setting, [row for i, row in enumerate(rows_of(typed, setting)) if i != number])


def with_rows(typed: Typed, setting: str, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the form with these rows in the table, in place of what it had for the setting."""
    rest = {name: text for name, text in typed.items() if not _belongs(name, setting)}
    return {
        **rest,
        setting: ROWS,
        **{f"{setting}.{i}.{part}": row[part] for i, row in enumerate(rows) for part in row},
    }


def _differs(typed: Typed, setting: str, before: Typed, seen: Mapping[str, Any]) -> bool:
    """Return whether the controls of a setting differ from the form `before`. A blank row does not count."""
    if is_table(typed, setting):
        try:
            found = mapping_of(rows_of(typed, setting), seen[setting])
        except NotReadable:
            return True
        return [*found.items()] != [*seen[setting].items()]
    if CONTROLS[setting].kind is Kind.ROWS:
        return _filled_rows(typed, setting) != _filled_rows(before, setting)
    return _of(typed, setting) != _of(before, setting)


def _filled_rows(typed: Typed, setting: str) -> list[dict[str, str]]:
    return [row for row in rows_of(typed, setting) if _is_filled(CONTROLS[setting], row)]


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


def _read(setting: str, control: Control, typed: Typed, seen: Mapping[str, Any]) -> Any:
    if is_table(typed, setting):
        return mapping_of(rows_of(typed, setting), seen[setting])
    if control.kind is Kind.ROWS:
        return _READ_ROWS[setting](_filled_rows(typed, setting))
    text = typed[setting].strip()
    if control.kind is Kind.OPEN and text == OTHER:
        text = typed.get(f"{setting}.other", "").strip()
        if not text:
            raise NotReadable("type a value below “Other”, or choose one from the list")
    if control.kind is Kind.SWITCH:
        return text == "on"
    if control.kind is Kind.MAPPING:
        return read_mapping(text)
    if control.kind is Kind.PERCENT:
        text = _PERCENT.sub(r"\1.\2", text.removesuffix("%").rstrip())
    if control.kind is Kind.NUMBER and _GROUPED.fullmatch(text):
        raise NotReadable(f"must be a whole number in digits only, such as 10000, not “{text}”")
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
    """Return the rows by the text of `part`. Raises NotReadable if it is blank, or in two rows."""
    found: dict[str, Mapping[str, str]] = {}
    for number, row in enumerate(rows, 1):
        if not row[part]:
            raise NotReadable(f"entry {number}: choose {called}")
        if row[part] in found:
            raise NotReadable(f"entry {number}: {called} “{row[part]}” is chosen twice; merge the two entries")
        found[row[part]] = row
    return found


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(form: Typed) -> dict[str, str]:
    """Return a form as a browser sends it: LF line ends, none in controls of one line, and no NUL."""
    sent = {name: _line_ends(text).replace("\0", "\ufffd") for name, text in form.items()}
    return {name: text if _has_lines(name) else text.replace("\n", "") for name, text in sent.items()}


def _has_lines(name: str) -> bool:
    setting, _, part = name.partition(".")
    control = CONTROLS[setting]
    return control.kind is Kind.MAPPING or bool(part and control.parts[part.rpartition(".")[2]].lines)


def _is_filled(control: Control, row: Mapping[str, str]) -> bool:
    """Return whether a part of the row is filled; a new row has only a type."""
    return any(row[name].strip() for name in control.parts if name != "type")


def _belongs(name: str, setting: str) -> bool:
    return name == setting or name.startswith(f"{setting}.")


def _of(form: Typed, setting: str) -> dict[str, str]:
    return {name: text for name, text in form.items() if _belongs(name, setting)}
