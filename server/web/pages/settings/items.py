"""Prepare each setting for the template: texts, control, choices and error. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from importer.file.header import fold
from server.tenants.setting_texts import SETTING_TEXTS, Group, SettingText
from server.web.pages.settings.choices import OTHER
from server.web.pages.settings.controls import CONTROLS, SELDOM, Control, Kind
from server.web.pages.settings.form import Typed, is_table, rows_of, touched
from server.web.pages.settings.hooks import Entry, Faces, entries_of
from server.web.pages.settings.mapping import IGNORED, UNSET
from server.web.pages.settings.meanings import SETTING as MEANINGS
from server.web.pages.settings.meanings import Word, offered, words_of
from server.web.pages.settings.sample import Sample
from server.web.pages.settings.words import in_words, unit_of
from server.web.pages.words import FIELDS

NO_FIELDS = frozenset({"state", "created", "external_id"})
"""Names that the history uses like fields, but that are not columns of a file."""

LEAVERS = {"deactivate": "Deactivate", "active": "Active"}
"""The labels of the columns that say who has left. They set no field of a user."""


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A row of the table of column names. `cells` are samples; `note` says why the column is not read.

    `fixed`: the name is a text, because the row has a column of the file or an entry of the setting.
    """

    header: str
    field: str
    options: Mapping[str, str]
    cells: Sequence[str]
    note: str
    fixed: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One setting on the page. `typed` is the text of its control, `rows` the rows of a table.

    `offers` are more rows, for closed columns of the newest file. `words` has the table of values of each row.
    `other` is the text beside an open choice; `columns` is the table of column names, if the form has it. `previews`
    are sentences about the newest file, by choice. `is_default`: the form has the default. `unsaved`: the form
    differs from what is stored. `meanwhile` is another user's newest change of it: who changed it, and the new value
    in words. `entries` are the controls of hooks, in groups with their headings.
    """

    setting: str
    text: SettingText
    control: Control
    typed: str
    other: str
    rows: list[dict[str, str]]
    offers: list[dict[str, str]]
    words: list[list[Word]]
    columns: list[ColumnRow]
    options: Mapping[str, str]
    previews: Mapping[str, str]
    default: str
    is_default: bool
    unsaved: bool
    error: str
    meanwhile: tuple[str, str] | None
    entries: Sequence[tuple[str, Sequence[Entry]]] = ()

    @property
    def explanation(self) -> str:
        if self.columns:
            return "For each column of your newest file, choose the field it stands for."
        return self.text.explanation if self.control.instead is None else self.control.instead

    @property
    def is_seldom(self) -> bool:
        """Return whether the setting may be hidden until a user asks for more."""
        return self.setting in SELDOM

    @property
    def is_quiet(self) -> bool:
        """Return whether the setting needs no attention now."""
        return self.is_default and not (self.unsaved or self.error or self.meanwhile)

    @property
    def unit(self) -> str:
        return unit_of(self.setting, self.typed)

    @property
    def alarming(self) -> bool:
        """Return whether the value in the form is one that the warning is about."""
        return self.control.alarms(self.typed)

    @property
    def preview(self) -> str:
        """Return the sentence about the newest file for the choice in the form; "" if there is none."""
        return self.previews.get(self.other if self.typed == OTHER else self.typed, "")

    @property
    def described_by(self) -> str:
        """Return the ids of the texts that describe the control, for aria-describedby."""
        texts = {
            "help": True,
            "careful": self.control.careful,
            "preview": self.previews,
            "meanwhile": self.meanwhile,
            "error": self.error,
        }
        return " ".join(f"{self.setting}-{name}" for name, there in texts.items() if there)


def groups_of(
    typed: Typed,
    defaults: Mapping[str, Any],
    errors: Mapping[str, str],
    meanwhile: Mapping[str, Mapping[str, Any]],
    *,
    unsaved: Collection[str] = (),
    sample: Sample | None = None,
    mapped: Mapping[str, str] | None = None,
    faces: Faces = (),
) -> dict[Group, list[Item]]:
    """Return all settings by group, with `typed` in their controls. Settings of hooks are left out without a control.

    `unsaved` are the settings whose controls differ from what is stored. `sample` is of the newest file, and `mapped`
    is the stored mapping of its columns. `faces` are the hooks of the server.
    """
    changed = touched(typed, defaults, faces)
    groups: dict[Group, list[Item]] = {group: [] for group in Group}
    for setting, text in SETTING_TEXTS.items():
        control, other = CONTROLS[setting], meanwhile.get(setting)
        choice, written = _chosen(setting, control, typed)
        rows = rows_of(typed, setting) if control.kind is Kind.ROWS else []
        entries = entries_of(faces, setting, typed) if control.kind is Kind.HOOKS else []
        if control.kind is Kind.HOOKS and not any(controls for _, controls in entries):
            continue
        offers, words = _meanings(setting, rows, sample)
        item = Item(
            setting=setting,
            text=text,
            control=control,
            typed=choice,
            other=written,
            rows=rows,
            offers=offers,
            words=words,
            columns=_columns(typed, setting, sample, mapped or {}) if is_table(typed, setting) else [],
            options=_options(setting, control, typed),
            previews=sample.previews.get(setting, {}) if sample else {},
            default=in_words(setting, defaults[setting]),
            is_default=setting not in changed,
            unsaved=setting in unsaved,
            error=errors.get(setting, ""),
            meanwhile=(other["changed_by"], in_words(setting, other["new"])) if other else None,
            entries=entries,
        )
        groups[text.group].append(item)
    return {group: items for group, items in groups.items() if items}


def _meanings(
    setting: str, rows: list[dict[str, str]], sample: Sample | None
) -> tuple[list[dict[str, str]], list[list[Word]]]:
    """Return the rows that the newest file adds to the tables of values, and the words of all rows."""
    if sample is None or setting != MEANINGS:
        return [], [[] for _ in rows]
    offers = offered(rows, sample.words)
    return offers, [words_of(row, sample.closed, sample.words) for row in (*rows, *offers)]


def _chosen(setting: str, control: Control, typed: Typed) -> tuple[str, str]:
    """Return the choice in the form, and the text beside it. A value outside the list is typed."""
    text, other = typed.get(setting, ""), typed.get(f"{setting}.other", "")
    if control.kind is Kind.OPEN and text and text != OTHER and text not in (control.options or {}):
        return OTHER, text
    return text, other


def _options(setting: str, control: Control, typed: Typed) -> Mapping[str, str]:
    """Return the choices of a setting. Some depend on the custom fields that are in the form now."""
    if setting == "identifier":
        own, texts = _own(typed), {row["key"] for row in rows_of(typed, "custom_fields") if row["type"] == "text"}
        chosen = typed.get(setting, "email")
        found = {**(control.options or {}), **{key: label for key, label in own.items() if key in texts}}
        return found if chosen in found else {**found, chosen: chosen}
    if setting == "value_mapping":
        fields = _fields() | LEAVERS | _own(typed)
        return {name: label for name, label in fields.items() if name not in {"email", typed.get("identifier")}}
    if control.kind is Kind.OPEN:
        return {**(control.options or {}), OTHER: "Other"}
    return control.options or {}


def _own(typed: Typed) -> dict[str, str]:
    """Return the labels of the custom fields in the form."""
    return {row["key"]: row["label"] or row["key"] for row in rows_of(typed, "custom_fields") if row["key"]}


def _fields() -> dict[str, str]:
    return {name: label for name, label in FIELDS.items() if name not in NO_FIELDS}


def _columns(typed: Typed, setting: str, sample: Sample | None, mapped: Mapping[str, str]) -> list[ColumnRow]:
    """Return the table of column names, with the fields that a column can have now."""
    fields = _fields() | LEAVERS | _own(typed)
    cells = sample.cells if sample else {}
    entries = {fold(theirs) for theirs in mapped}
    sent = rows_of(typed, setting)
    times = Counter(row["field"] for row in sent if fold(row["header"]) in cells)
    rows = []
    for row in sent:
        name = fold(row["header"])
        field = row["field"] or (IGNORED if name else UNSET)
        there, stored = bool(name) and name in cells, name in entries
        options = _of_row(fields, name, there=there, stored=stored)
        if field not in options:
            options = {**options, field: field}
        note = ""
        if name and not there and sample is not None:
            note = "Not in your newest file"
        elif there and field not in (UNSET, IGNORED) and times[field] > 1:
            note = f"{times[field]} columns have this field. Only one of them is read."
        rows.append(ColumnRow(row["header"], field, options, cells.get(name, ()), note, there or stored))
    return rows


def _of_row(fields: Mapping[str, str], name: str, *, there: bool, stored: bool) -> dict[str, str]:
    unset = "No field yet" if there else "Remove this name" if stored else "Choose a field"
    first = {} if there and name in fields and name != "active" else {UNSET: unset}
    return {**first, **fields, IGNORED: "Not used"}
