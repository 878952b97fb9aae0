"""Rows are the same values in both engines."""

from __future__ import annotations

import json

from engine.moving.tables import (
    Numbering,
    canonical,
    messages_of,
    plain,
    plain_json,
    value_as_json,
    with_messages,
    without_messages,
)


def test_equal_json_has_one_text() -> None:
    assert canonical('{"b": [1, 2.5], "a": "\\u00fc"}') == canonical('{"a":"ü","b":[1,2.50]}')


def test_nul_becomes_the_character_that_postgresql_stores() -> None:
    assert plain("a\0b") == "a\ufffdb"
    assert json.loads(plain_json('{"a\\u0000": ["\\u0000", 1]}') or "") == {"a\ufffd": ["\ufffd", 1]}
    assert plain_json(r'["\\u0000"]') == r'["\\u0000"]'
    assert plain_json(None) is None


def test_the_messages_of_an_import_keep_nul() -> None:
    kept = messages_of(json.dumps({"messages": [{"value": "a\0b"}]}))
    assert json.loads(kept or "") == [{"value": "a\0b"}]


def test_an_outcome_is_the_same_after_it_lost_and_got_its_messages() -> None:
    outcome = json.dumps({"counts": {"created": 1}, "messages": [{"code": "x"}], "guard": None})
    again = with_messages(without_messages(outcome), messages_of(outcome))
    assert again is not None
    assert json.loads(again) == json.loads(outcome)
    assert (without_messages(None), messages_of(None), with_messages(None, None)) == (None, None, None)


def test_a_value_of_any_type_keeps_it() -> None:
    assert [value_as_json(value) for value in (None, 1, "1", "ü", 1.5)] == [None, "1", '"1"', '"\\u00fc"', "1.5"]


def test_the_next_number_follows_the_newest_one() -> None:
    assert Numbering(1, 100, 100, 100).base(None) == 100
    assert Numbering(1, 100, 100, 130).base(130) == 100
    assert Numbering(1, 100, 130, 130).base(None) == 130
    deleted = Numbering(1, 100, 130, 130)  # 121 to 130 were deleted: what is left is not shown
    assert deleted.base(120) + (120 - 100) == 130
