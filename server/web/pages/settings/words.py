"""Write the value of a setting in words: for viewers, for the history and for defaults. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.settings.choices import DELIMITERS
from server.web.pages.settings.controls import CONTROLS, LANGUAGE_NAMES, TYPES, Kind
from server.web.pages.settings.hooks import hooks_in_words
from server.web.pages.settings.notation import mapping_lines, number_text, size_text

NOT_SET = "not set"


def in_words(setting: str, value: Any) -> str:
    """Return `value` (as in JSON) of `setting` in words; a table has a line for each entry."""
    control = CONTROLS.get(setting)
    if control is None:  # a setting of an older version
        return str(value)
    if control.kind is Kind.HOOKS:
        return hooks_in_words(setting, value) or NOT_SET
    if control.kind is Kind.SWITCH:
        return "on" if value else "off"
    if control.kind is Kind.SIZE:
        return size_text(value)
    if value is None or value in ("", [], {}):
        return NOT_SET
    if control.kind in (Kind.NUMBER, Kind.PERCENT):
        return _measured(setting, value)
    if control.kind is Kind.CHOICE:
        return (control.options or {}).get(DELIMITERS.get(value, value), value)
    if control.kind is Kind.OPEN:
        return (control.options or {}).get(value, value)
    if control.kind is Kind.LIST:
        return ", ".join(value)
    if control.kind is Kind.MAPPING:
        return mapping_lines(value)
    return _TABLES[setting](value) if control.kind is Kind.ROWS else str(value)


def unit_of(setting: str, value: str) -> str:
    """Return the unit of a number in a setting: `days`, or `day` for 1."""
    unit = SETTING_TEXTS[setting].unit
    return unit.removesuffix("s") if value.strip() == "1" else unit


def _measured(setting: str, value: float) -> str:
    text = number_text(value)
    unit = "%" if CONTROLS[setting].kind is Kind.PERCENT else unit_of(setting, text)
    return f"{int(text):,} {unit}".rstrip() if text.isdecimal() else f"{text} {unit}".rstrip()


def _custom_fields(value: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{each['key']}: {each['label'] or each['key']}, {TYPES[each['type']].lower()}"
        + (f" ({', '.join(each['choices'])})" if each["choices"] else "")
        for each in value
    )


def _value_mapping(value: Mapping[str, Mapping[str, str]]) -> str:
    return "\n".join(
        f"{name}: {line}" for name, values in value.items() for line in mapping_lines(values).split("\n")
    )


def _templates(value: Mapping[str, Mapping[str, str]]) -> str:
    return "\n\n".join(
        f"{LANGUAGE_NAMES.get(language, language)}: {each['subject']}\n{each['text'].strip()}"
        for language, each in value.items()
    )


_TABLES: dict[str, Callable[[Any], str]] = {
    "custom_fields": _custom_fields,
    "value_mapping": _value_mapping,
    "invitation_templates": _templates,
}
