"""Advice on one file as a value: what to change, what becomes of each column, and what it would come to.  Pure.

It is made in one place and shown in four: `headcount check`, the page of an import, the API, and the report in
/results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from importer.rules.settings import ImportSettings

GUESSED = " (a guess: check it)"
"""What a sentence ends with that may be wrong."""

Open = Mapping[str, Mapping[str, str]]
"""What is left to be completed, as tables of the settings: by table, their word and ours, or `?`."""


class ColumnJson(TypedDict):
    header: str
    field: str | None
    certain: bool
    note: str


class AdviceJson(TypedDict):
    columns: list[ColumnJson]
    settings: dict[str, Any]
    toml: str | None
    state: str | None
    counts: dict[str, int] | None
    sentences: list[str]
    gaps: list[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to change, with its sentence. `certain`: it can't be wrong; else it is a guess.

    `settings` are put in the place of those of now; `headers` and `words` are added to the mappings, `fields` to the
    custom fields. `column` is the place of the column it is about. `leavers`: it says who has left. `open` is what a
    person must complete before all of its column is read.
    """

    sentence: str
    certain: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fields: tuple[Mapping[str, object], ...] = ()
    column: int | None = None
    leavers: bool = False
    open: Open = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The sentence, with a mark where it is a guess."""
        return self.sentence if self.certain else f"{self.sentence.removesuffix('.')}{GUESSED}."


def changes_of(parts: Sequence[Part], settings: ImportSettings) -> dict[str, Any]:
    """What the parts change in `settings`, as `ImportSettings.with_changes` takes it."""
    changes: dict[str, Any] = {}
    headers: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    fields: list[Mapping[str, object]] = []
    for part in parts:
        changes.update(part.settings)
        headers.update(part.headers)
        fields.extend(part.fields)
        for name, meant in part.words.items():
            words.setdefault(name, dict(settings.value_mapping.get(name, {}))).update(meant)
    if headers:
        changes["field_mapping"] = {**settings.field_mapping, **headers}
    if words:
        changes["value_mapping"] = {**settings.value_mapping, **words}
    if fields:
        changes["custom_fields"] = [*(each.model_dump(mode="json") for each in settings.custom_fields), *fields]
    return changes


@dataclass(frozen=True, slots=True)
class ColumnAdvice:
    """What becomes of one column with the advice. `certain`: it is so, or can't be meant otherwise."""

    header: str
    field: str | None
    certain: bool
    note: str

    def to_json(self) -> ColumnJson:
        return {"header": self.header, "field": self.field, "certain": self.certain, "note": self.note}


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on one file.

    `settings` is what to change, `{}` where nothing would help; `toml` is all settings with it, for `tenant load`.
    `state` and `counts` are what the file would come to with them; None where there is nothing to change, or where
    the advice is that on a file before.
    `gaps` is what no setting can mend.
    """

    columns: tuple[ColumnAdvice, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    toml: str | None = None
    state: str | None = None
    counts: Mapping[str, int] | None = None
    sentences: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    def to_json(self) -> AdviceJson:
        return {
            "columns": [each.to_json() for each in self.columns],
            "settings": dict(self.settings),
            "toml": self.toml,
            "state": self.state,
            "counts": dict(self.counts) if self.counts is not None else None,
            "sentences": list(self.sentences),
            "gaps": list(self.gaps),
        }

    @classmethod
    def from_json(cls, data: AdviceJson) -> Advice:
        return cls(
            tuple(ColumnAdvice(**each) for each in data["columns"]),
            data["settings"],
            data["toml"],
            data["state"],
            data["counts"],
            tuple(data["sentences"]),
            tuple(data["gaps"]),
        )
