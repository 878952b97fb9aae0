"""A search and the column that it reads are folded in the same way."""

from __future__ import annotations

import pytest

from engine.postgres.database import Database
from engine.postgres.tenant.search import conditions, folded
from tests.support.clients import POSTGRES, needs

pytestmark = needs(POSTGRES)

TEXTS = (
    "Anna-Lena O'Brien",
    "Zoë ÅSTRÖM ﬁn Ⅷ",
    "ΟΔΥΣΣΕΥΣ ΟΔΥΣ",
    "Анна КУЗНЕЦОВА Йод",
    "İstanbul ıŞIK",
    "Straße ĲSSEL Đặng",
    "한국 ガラス ｶﾞ किरण",
    "e\u0301 = é, ø, ł \U00010400",
)


@pytest.mark.parametrize("text", TEXTS)
async def test_the_database_folds_a_text_as_a_search_does(database: Database, text: str) -> None:
    ((found,),) = await database.read("SELECT folded(%s)", text)
    assert found == folded(text)


@pytest.mark.parametrize(
    ("search", "finds"),
    [
        ("zoë ast", True),
        ("strom", False),
        ("ÅSTRÖM", True),
        ("οδυς", True),
        ("o'br", True),
        ("o.br", True),
        ("obr", False),
        ("-- zoe", True),
        ("--", False),
        ("o'b -- 7_", True),
        ("%", False),
        ("b_r", False),
        ("@e", True),
        ("'", True),
        ("x" * 600, False),
        (" ".join(["z"] * 40), True),
    ],
)
async def test_words_are_found_by_their_beginnings(database: Database, search: str, finds: bool) -> None:
    text = "Zoë ÅSTRÖM\nO'Brien@E.com\n7_8 ΟΔΥΣΣΕΥΣ"
    where, values = conditions(search)
    query = f'SELECT {" AND ".join(where)} FROM (SELECT folded(%(text)s) COLLATE "und-x-icu" AS searched) AS u'
    ((found,),) = await database.read(query, text=text, **values)
    assert found is finds
