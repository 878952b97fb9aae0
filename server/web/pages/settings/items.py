"""Prepare each setting for the template: texts, control, choices and error. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.tenants.setting_texts import SETTING_TEXTS, Group, SettingText
from server.web.pages.settings.controls import CONTROLS, Control, Kind
from server.web.pages.settings.form import Typed, rows_of
from server.web.pages.settings.words import in_words, unit_of
from server.web.pages.words import FIELDS

NO_FIELDS = frozenset({"state", "created", "external_id"})
"""Names that the history uses like fields, but that are not columns of a file."""


@dataclass(frozen=True, slots=True)
class Item:
    """One setting on the page. `typed` is the text of its control, `rows` the rows of a table.

    `meanwhile` is another user's newest change of it: who changed it, and the value in words.
    """

    setting: str
    text: SettingText
    control: Control
    typed: str
    rows: list[dict[str, str]]
    options: Mapping[str, str]
    default: str
    error: str
    meanwhile: tuple[str, str] | None

    @property
    def explanation(self) -> str:
        return self.text.explanation if self.control.instead is None else self.control.instead

    @property
    def unit(self) -> str:
        return unit_of(self.setting, self.typed)

    @property
    def described_by(self) -> str:
        """Return the ids of the texts that describe the control, for aria-describedby."""
        texts = {"help": True, "careful": self.control.careful, "meanwhile": self.meanwhile, "error": self.error}
        return " ".join(f"{self.setting}-{name}" for name, there in texts.items() if there)


def groups_of(
    typed: Typed,
    defaults: Mapping[str, Any],
    errors: Mapping[str, str],
    meanwhile: Mapping[str, Mapping[str, Any]],
) -> dict[Group, list[Item]]:
    """Return all settings by group, with `typed` in their controls."""
    groups: dict[Group, list[Item]] = {group: [] for group in Group}
    for setting, text in SETTING_TEXTS.items():
        control, other = CONTROLS[setting], meanwhile.get(setting)
        groups[text.group].append(
            Item(
                setting,
                text,
                control,
                typed.get(setting, ""),
                rows_of(typed, setting) if control.kind is Kind.ROWS else [],
                _options(setting, control, typed),
                in_words(setting, defaults[setting]),
                errors.get(setting, ""),
                (other["changed_by"], in_words(setting, other["new"])) if other else None,
            )
        )
    return groups


def _options(setting: str, control: Control, typed: Typed) -> Mapping[str, str]:
    """Return the choices of a setting. Some depend on the custom fields that are in the form now."""
    own = {row["key"]: row["label"] or row["key"] for row in rows_of(typed, "custom_fields") if row["key"]}
    if setting == "identifier":
        texts = {row["key"] for row in rows_of(typed, "custom_fields") if row["type"] == "text"}
        chosen = typed.get(setting, "email")
        found = {**(control.options or {}), **{key: label for key, label in own.items() if key in texts}}
        return found if chosen in found else {**found, chosen: chosen}
    if setting == "value_mapping":
        fields = {name: label for name, label in FIELDS.items() if name not in NO_FIELDS} | own
        return {name: label for name, label in fields.items() if name not in {"email", typed.get("identifier")}}
    return control.options or {}
