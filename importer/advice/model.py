"""Advice on one file as a value: suggested settings, how each column is read, and the expected result.  Pure.

`headcount check`, the page of an import, the API and the report in /results show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from importer.rules.settings import ImportSettings

GUESSED = " (a guess: check it)"
"""The end of a sentence that may be wrong."""

Open = Mapping[str, Mapping[str, str]]
"""The words to complete, by table of the settings: the word of the file and its meaning, or `?`."""


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
    """One suggested change, with its sentence. If not `certain`, it is a guess.

    `settings` replace today's; `headers` and `words` are added to the mappings, `fields` to the custom fields.
    `column` is the place of its column in the file. `leavers`: the column tells who has left. `open` are the words
    that a person must complete before the whole column is read.
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
        """The sentence, marked if it is a guess."""
        return self.sentence if self.certain else f"{self.sentence.removesuffix('.')}{GUESSED}."


def changes_of(parts: Sequence[Part], settings: ImportSettings) -> dict[str, Any]:
    """Return the changes of the parts to `settings`, as `ImportSettings.with_changes` takes them."""
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
    """How one column is read with the advice. If not `certain`, it may be meant as another field."""

    header: str
    field: str | None
    certain: bool
    note: str

    def to_json(self) -> ColumnJson:
        return {"header": self.header, "field": self.field, "certain": self.certain, "note": self.note}


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on one file.

    `settings` are the suggested changes, `{}` if none would help; `toml` is all settings with them, for
    `tenant load`. `state` and `counts` are the expected result; None if there are no changes, or if this is the
    advice on an earlier file. `gaps` are the problems that no setting can fix.
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
