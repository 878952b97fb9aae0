"""Every message of an import: its sentences as they are, their length and their plurals."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.support.every_message import LIST, Message, as_text, every_message
from tests.support.sentences import AVERAGE_WORDS, MOST_WORDS
from tests.unit.docs.test_errors_docs import codes_in_the_program

COUNTING = {
    "(held)": (r"1 user\b", "2 users"),
    "(undone)": (r"1 user\b", r"2 users\b"),
    "absent_not_deactivated": (r"1 rejected row\b", "2 rejected rows"),
    "blank_lines": ("1 blank line was", "2 blank lines were"),
    "footer_missing": (r"last line\b", "last 2 lines"),
    "formula": ("1 cell holds", "2 cells hold"),
    "html_entities": ("1 cell holds", "2 cells hold"),
    "missing_column": ("1 line above", "2 lines above"),
    "most_rows_are_leavers": ("2 of 3 rows", "5 of 6 rows"),
    "no_rows": ("the first line,", "the first 2 lines,"),
    "possibly_truncated": (r"1 row\b", "2 rows"),
    "ragged_row": ("1 cell is", "2 cells are"),
    "unnamed_column": ("Column 4 has", "Columns 4 and 5 have"),
    "unread_leavers": (r"1 user\b", "2 users"),
}
"""Codes whose message has a count, and patterns of it for 1 and for more."""

_VALUE = re.compile(r"“[^”]*”|\{.*\}|\S+@\S+")
_ITEMS = re.compile(r"(?<=: )[^.:]+(?:, [^.,:]+){3,}")
_ENDS = re.compile(r"(?<=[.?!:])\s+")
_NOUNS = ("row", "user", "cell", "line", "column", "field", "fault", "message", "minute", "time", "character", "byte")
_MANY = "|".join(f"{noun}s" for noun in _NOUNS)
_WRONG_PLURALS = (
    re.compile(rf"(?<![\d.,])1 (?:\w+ )?(?:{_MANY})\b"),
    re.compile(rf"(?<![\d.,])(?:0|[2-9]|\d{{2,}}) (?:{'|'.join(_NOUNS)})\b"),
    re.compile(rf"(?<![\d.,])0 (?:{_MANY})\b"),
)


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return asyncio.run(every_message())


def sentences(message: str) -> list[str]:
    """The sentences and clauses of a message; a value or a list of words counts as one word."""
    plain = _ITEMS.sub("X", _VALUE.sub("X", message))
    return [part for part in _ENDS.split(plain) if part]


def too_long(message: str) -> bool:
    return any(len(sentence.split()) > MOST_WORDS for sentence in sentences(message))


def test_every_message_is_in_the_list_word_for_word(messages: list[Message]) -> None:
    found = as_text(messages)
    assert found == LIST.read_text(encoding="utf-8"), (
        "read the difference, then: python -m tests.support.every_message"
    )


def test_the_list_has_every_code(messages: list[Message]) -> None:
    listed = {message.code for message in messages if not message.code.startswith("(")}
    held = {"too_many_creations", "too_many_deactivations", "too_many_updates"}  # in the message of the import
    assert listed | held == codes_in_the_program()


def test_a_sentence_has_at_most_30_words(messages: list[Message]) -> None:
    assert [message.code for message in messages if too_long(message.sentence)] == []


def test_sentences_have_15_words_on_average(messages: list[Message]) -> None:
    words = [len(sentence.split()) for message in messages for sentence in sentences(message.sentence)]
    assert sum(words) / len(words) <= AVERAGE_WORDS


def test_plurals_fit_their_numbers_and_zero_is_not_counted(messages: list[Message]) -> None:
    wrong = {
        found[0]
        for message in messages
        for pattern in _WRONG_PLURALS
        if (found := pattern.search(_VALUE.sub("X", message.sentence)))
    }
    assert wrong == set()


@pytest.mark.parametrize("code", COUNTING)
def test_a_message_that_counts_is_listed_for_one_and_for_more(messages: list[Message], code: str) -> None:
    text = " ".join(message.sentence for message in messages if message.code == code)
    assert re.search(COUNTING[code][0], text)
    assert re.search(COUNTING[code][1], text)
