"""Advice and messages name the same field for a column."""

from __future__ import annotations

import pytest

from importer.advice.headers import meant_by_name
from importer.file.header import COLUMNS, OFTEN_MEANT, nearest_column
from importer.file.synonyms import SYNONYMS
from importer.rules.settings import ImportSettings

NAMES = [*OFTEN_MEANT, *(name.replace("_", " ").title() for name in COLUMNS)]


@pytest.mark.parametrize("name", NAMES)
def test_advice_reads_a_column_as_the_field_that_a_message_asks_about(name: str) -> None:
    meant = {likely.at: field for field, likely in meant_by_name([name], ImportSettings()).items()}
    hint = nearest_column(name)
    assert meant.get(0) == hint or (hint is None and not meant) or name.lower().replace(" ", "_") in COLUMNS


@pytest.mark.parametrize("field", SYNONYMS)
def test_no_message_asks_about_another_field_than_advice_reads(field: str) -> None:
    for word in SYNONYMS[field]:
        meant = meant_by_name([word], ImportSettings())
        hint = nearest_column(word)
        assert not meant or hint in (None, *meant), word
