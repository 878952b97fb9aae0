"""What is wrong with the value of a setting, in our words: of the server's settings and of a tenant's. Pure.

The library that checks them has words for programmers ("Input should be a valid tuple"); whoever reads ours may be
typing on a command line, or looking at a form.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from importer.model import shown

_TABLE, _LIST = "must be a table", "must be a list"
_NUMBER, _WHOLE, _SWITCH = "must be a number", "must be a whole number", "must be true or false"
_SIZE = "must be a size in bytes, or with a unit, such as 500MB or 10GiB"

REASONS: Mapping[str, str] = {
    "bool_parsing": _SWITCH,
    "bool_type": _SWITCH,
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "must be a smaller number",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "string_type": "must be text",
    "string_unicode": "must be text",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "may have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "too_long": "may have at most {max_length} entries",
    "tuple_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "byte_size": _SIZE,
    "byte_size_unit": _SIZE,
    "path_type": "must be a path",
    "value_error": "{error}",
}
"""By the library's types of errors; in braces what it says of one."""

_SAYS_ALL = {"missing", "extra_forbidden", "too_long"}


def reason(details: ErrorDetails, *, secret: bool = False) -> str:
    """What is wrong, and what was given instead unless it is `secret`: `must be a whole number, not 'abc'`."""
    facts = {name: _round(value) for name, value in details.get("ctx", {}).items()}
    sentence = REASONS.get(details["type"], "makes no sense").format(**facts)
    given = details["input"]
    whole_table = details["type"] == "value_error" and isinstance(given, dict | list | tuple)
    if secret or whole_table or not details["loc"] or details["type"] in _SAYS_ALL:
        return sentence
    return f"{sentence}, not {_given(given)}"


def place(details: ErrorDetails) -> str:
    """Where inside its setting a value is wrong: `entry 1, key`; "" for the setting as a whole."""
    return ", ".join(f"entry {part + 1}" if isinstance(part, int) else part for part in details["loc"][1:])


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing if none of the `known` names is near."""
    found = difflib.get_close_matches(name.lower(), known, 1)
    return f"; did you mean {found[0]}?" if found else ""


def _round(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _given(value: object) -> str:
    if isinstance(value, str):
        return repr(shown(value))
    try:
        return shown(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return shown(str(value))
