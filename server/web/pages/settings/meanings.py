"""The tables of values: the words of a column that takes only certain values, with the meaning of each. Pure.

A table is another look of the lines that the control `values` of such a row has. Words and meanings are in the
notation of these lines, so a table sent as shown is the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from importer.file.header import fold
from importer.rules.cells import LANGUAGES, ROLES
from importer.rules.custom import CustomField
from server.web.pages.settings.controls import LANGUAGE_NAMES, ROLE_NAMES
from server.web.pages.settings.notation import NotReadable, quoted, read_mapping

SETTING = "value_mapping"

UNSET = '"'
"""The choice of no meaning: the word has no line. No meaning has this notation."""

OFFERED_MOST = 10
"""The most tables that the newest file adds, so that the form stays far below its limit of bytes."""

_PART = re.compile(rf"{SETTING}\.(\d{{1,6}})\.(word|meaning)\.(\d{{1,6}})")
_YES_OR_NO = {"yes": "Yes", "no": "No"}
_BLANK = {"": "A blank cell"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its meaning in a table. `text` is the word as a person reads it; "" for a new word."""

    word: str
    text: str
    meaning: str
    options: Mapping[str, str]


def closed_fields(custom: Iterable[CustomField]) -> dict[str, dict[str, str]]:
    """Return the fields that take only certain values: the label of each value, by field."""
    own = {
        each.key: dict(_YES_OR_NO) if each.type == "boolean" else {choice: choice for choice in each.choices}
        for each in custom
    }
    standard = {
        "role": {role: ROLE_NAMES[role] for role in ROLES},
        "language": {language: LANGUAGE_NAMES[language] for language in LANGUAGES},
        "deactivate": {"yes": "Yes: the user has left", "no": "No: the user stays active"},
        "active": {"yes": "Yes: the user is active", "no": "No: the user has left"},
    }
    return {name: values for name, values in {**standard, **own}.items() if values}


def as_lines(typed: Mapping[str, str]) -> dict[str, str]:
    """Return the form with each table of values as lines.

    A table that was only offered has no control `values`. It is left out while no word in it has a meaning.
    """
    tables: dict[str, dict[int, dict[str, str]]] = {}
    rest = {}
    for name, text in typed.items():
        if found := _PART.fullmatch(name):
            tables.setdefault(found[1], {}).setdefault(int(found[3]), {})[found[2]] = text
        else:
            rest[name] = text
    for number, words in tables.items():
        lines = [_line(words[at]) for at in sorted(words) if words[at].get("meaning", UNSET) != UNSET]
        if lines or f"{SETTING}.{number}.values" in rest:
            rest[f"{SETTING}.{number}.values"] = "\n".join(lines)
        else:
            rest.pop(f"{SETTING}.{number}.field", None)
    return rest


def words_of(
    row: Mapping[str, str], closed: Mapping[str, Mapping[str, str]], in_file: Mapping[str, Sequence[str]]
) -> list[Word]:
    """Return the table of one row of values; empty if its field is not closed, or its lines cannot be read.

    `in_file` has the words of the newest file that the field does not accept.
    """
    field = row["field"]
    if field not in closed:
        return []
    try:
        mapping = read_mapping(row["values"])
    except NotReadable:
        return []
    options = {quoted(value): label for value, label in closed[field].items()} | _BLANK
    file = {fold(word): word for word in in_file.get(field, ())}
    words = []
    for theirs, ours in mapping.items():
        meaning = quoted(ours) if ours else ""
        unset = {UNSET: "No meaning yet" if fold(theirs) in file else "Remove this word"}
        known = options if meaning in options else {meaning: ours, **options}
        words.append(Word(quoted(theirs, also="="), theirs or "a blank cell", meaning, {**unset, **known}))
    mapped = {fold(theirs) for theirs in mapping}
    words += [
        Word(quoted(word, also="="), word, UNSET, {UNSET: "No meaning yet", **options})
        for name, word in file.items()
        if name not in mapped
    ]
    return [*words, Word("", "", UNSET, {UNSET: "Choose a meaning", **options})]


def offered(rows: Iterable[Mapping[str, str]], in_file: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return a row for each closed column of the file that has words without a meaning, and no row yet."""
    there = {row["field"] for row in rows}
    found = [{"field": field, "values": ""} for field, words in in_file.items() if words and field not in there]
    return found[:OFFERED_MOST]


def _line(word: Mapping[str, str]) -> str:
    theirs = word.get("word", "").strip()
    source = theirs if theirs.startswith('"') else quoted(theirs, also="=")
    return f"{source} = {word['meaning']}".rstrip()
