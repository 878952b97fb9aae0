"""Custom fields of a tenant: how they are defined, and how cells of each type are read. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from importer.file.letters import BLANKS
from importer.rules.cells import Doubtful, FieldValue, Invalid, check_boolean, check_date, check_text

Rule = Callable[[str], FieldValue | Invalid | Doubtful]
"""Reads a tidy cell that is not blank."""

MAX_FIELDS = 100
MAX_DIGITS = 15
"""The most digits of a number: with more, a float cannot represent each number."""

CHOICES_NAMED = 20
"""The most choices that the message of an unknown one names."""

_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MANGLED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}")


class CustomField(BaseModel):
    """A custom field. `choices` has those of a choice field, in the order in which they are shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    label: Annotated[str, Field(max_length=255)] = ""
    type: Literal["text", "number", "date", "boolean", "choice"] = "text"
    choices: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()

    @field_validator("key")
    @classmethod
    def _fit_for_a_column(cls, given: str) -> str:
        if not _KEY.fullmatch(given):
            raise ValueError("must begin with a letter and have only a to z, digits and _, at most 63 characters")
        return given

    @field_validator("choices")
    @classmethod
    def _as_cells_are_compared(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(unicodedata.normalize("NFC", choice) for choice in given)

    @model_validator(mode="after")
    def _choices_belong_to_a_choice(self) -> Self:
        if self.type == "choice" and not self.choices:
            raise ValueError(f"the field {self.key} is a choice and must name its choices")
        if self.type != "choice" and self.choices:
            raise ValueError(f"the field {self.key} has choices, so its type must be choice")
        if any(choice != choice.strip(BLANKS) for choice in self.choices):
            raise ValueError(f"the choices of {self.key} must have no spaces around them")
        if len({choice.lower() for choice in self.choices}) < len(self.choices):
            raise ValueError(f"the choices of {self.key} must differ in more than upper and lower case")
        return self


def rule_of(field: CustomField, date_format: str) -> Rule:
    """Return the rule for the cells of `field`."""
    if field.type == "date":
        return partial(check_date, date_format=date_format)
    if field.type == "choice":
        return partial(_check_choice, {choice.lower(): choice for choice in field.choices})
    return {"text": _check_own_text, "number": _check_number, "boolean": check_boolean}[field.type]


def _check_own_text(text: str) -> FieldValue | Invalid | Doubtful:
    found = check_text(text)
    return _doubt(found, text) if _MANGLED.fullmatch(text) else found


def _check_number(text: str) -> FieldValue | Invalid | Doubtful:
    if not _NUMBER.fullmatch(text):
        return Invalid("bad_number", "Write a number with digits and at most one point, such as 1250 or 12.5.")
    mantissa = re.split("[eE]", text)[0]
    if len(mantissa.strip("+-").replace(".", "").strip("0")) > MAX_DIGITS:
        return Invalid(
            "bad_number",
            f"The number has more than {MAX_DIGITS} digits and would be rounded. Change the type of the field to "
            "text.",
        )
    number = float(text)
    if abs(number) > 10**MAX_DIGITS:
        return Invalid("bad_number", f"The number is larger than 1 with {MAX_DIGITS} zeros. Write a smaller one.")
    value = int(number) if number.is_integer() else number
    return _doubt(value, text) if _MANGLED.fullmatch(text) else value


def _check_choice(choices: dict[str, str], text: str) -> FieldValue | Invalid:
    known = list(choices.values())
    more = f" (and {len(known) - CHOICES_NAMED:,} more)" if len(known) > CHOICES_NAMED else ""
    return choices.get(text.lower()) or Invalid(
        "unknown_choice",
        f"No such choice. Write one of: {', '.join(known[:CHOICES_NAMED])}{more}. "
        "If a choice is missing, add it in custom_fields.",
    )


def _doubt(value: FieldValue | Invalid, text: str) -> FieldValue | Invalid | Doubtful:
    if isinstance(value, Invalid):
        return value
    looks = f"{text} looks like a number shortened by a spreadsheet."
    advice = "Format the column as text and export again."
    return Doubtful(value, "mangled_number", f"{looks} It was kept. {advice}", f"{looks} {advice}")
