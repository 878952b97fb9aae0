"""Messages about values of settings: the rule with the right plural, and the value in quotation marks."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from server.setting_errors import place, reason


class Chosen(BaseModel):
    """A setting of each kind."""

    word: Annotated[str, Field(min_length=1, max_length=1)] = "x"
    words: Annotated[str, Field(min_length=2, max_length=3)] = "xy"
    one: Annotated[tuple[int, ...], Field(max_length=1)] = ()
    two: Annotated[tuple[int, ...], Field(max_length=2)] = ()
    kind: Literal["clear", "keep"] = "clear"
    share: Annotated[float, Field(le=100)] = 0
    flag: bool = False


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("word", "", "must have at least 1 character, not “”"),
        ("word", "xy", "must have at most 1 character, not “xy”"),
        ("words", "x", "must have at least 2 characters, not “x”"),
        ("words", "wxyz", "must have at most 3 characters, not “wxyz”"),
        ("one", (1, 2), "must have at most 1 entry"),
        ("two", (1, 2, 3), "must have at most 2 entries"),
        ("kind", "drop", "must be “clear” or “keep”, not “drop”"),
        ("share", 101, "must be at most 100, not 101"),
        ("share", "a tenth", "must be a number, not “a tenth”"),
        ("flag", "maybe", "must be true or false, not “maybe”"),
    ],
)
def test_a_message_has_the_rule_with_its_plural_and_the_value(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Chosen.model_validate({name: value})
    (error,) = caught.value.errors()
    assert (reason(error), place(error)) == (sentence, "")


def test_a_secret_value_is_not_quoted() -> None:
    with pytest.raises(ValidationError) as caught:
        Chosen.model_validate({"flag": "hunter2"})
    assert reason(caught.value.errors()[0], secret=True) == "must be true or false"
