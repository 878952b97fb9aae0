"""Propose meanings for the values of a column that is read, blank ones included.  Pure.

A known word is proposed with its meaning. An unknown word is left for a person; its rows are rejected until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from importer.advice.headers import seen
from importer.advice.leavers import UNKNOWN
from importer.advice.model import Part
from importer.advice.words import Word, Words, proposed_words, sentences_of
from importer.model import shown
from importer.rules.cells import Invalid
from importer.rules.meanings import Column
from importer.rules.settings import ImportSettings

NAMED = 5


@dataclass(frozen=True, slots=True)
class Values:
    """The proposal for the values of one column.

    `fit` is the share of the different values that would be accepted, 0 to 1. `certain`: no meaning is a guess.
    """

    found: Words
    fit: float = 1.0

    @property
    def words(self) -> dict[str, str]:
        return {word.text: word.ours for word in self.found.words if word.ours is not None}

    @property
    def certain(self) -> bool:
        return all(word.certain for word in self.found.words if word.ours is not None)

    @property
    def unknown(self) -> dict[str, str]:
        """The words to complete, as a table of the settings."""
        return dict.fromkeys(self.found.open, UNKNOWN)

    @property
    def note(self) -> str:
        """The sentences about the words to complete."""
        return " ".join(sentences_of(Words(self.found.name, self._left, self.found.more)))

    @property
    def _left(self) -> tuple[Word, ...]:
        return tuple(word for word in self.found.words if word.ours is None)


def values_of(name: str, cells: Sequence[str], column: Column, settings: ImportSettings) -> Values:
    """Return the proposal for the cells of the column that is read as `name`."""
    found = proposed_words(name, cells, settings)
    meant = {word.text for word in found.words if word.ours is not None}
    different = {cell for cell in cells if cell}
    taken = [cell for cell in different if cell in meant or not isinstance(column.judge(cell), Invalid)]
    return Values(found, len(taken) / len(different) if different else 1.0)


def part_of(name: str, header: str, at: int, values: Values) -> Part:
    """Return the part that adds the words of a column that is read already."""
    told = [f"“{shown(word)}” as {ours or 'a blank cell'}" for word, ours in list(values.words.items())[:NAMED]]
    more = ", …" if len(values.words) > NAMED else ""
    sentence = f"In “{seen(header)}” ({name}), values are read like this: {', '.join(told)}{more}."
    return Part(sentence, values.certain, words={name: values.words}, column=at)
