"""Messages for values of settings that are not valid: of the server and of a tenant. Pure.

The validation library writes for programmers ("Input should be a valid tuple"). These messages are for users of the
command line and of forms.
"""

from __future__ import annotations

import difflib
import json
import re
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
    "string_too_short": "must have at least {min_length} {characters}",
    "string_too_long": "must have at most {max_length} {characters}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "too_long": "must have at most {max_length} {entries}",
    "too_short": "must have at least {min_length} {entries}",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "byte_size": _SIZE,
    "byte_size_unit": _SIZE,
    "path_type": "must be a path",
    "value_error": "{error}",
}
"""By the library's error type. Names in braces are the library's facts about the error."""

_WITHOUT_VALUE = {"missing", "extra_forbidden", "too_long", "too_short"}
"""Error types whose message does not quote the value."""


class Quoted(ValueError):  # noqa: N818 - what is the case
    """An invalid value, with a message that quotes its invalid part."""


def reason(details: ErrorDetails, *, secret: bool = False) -> str:
    """Return the rule, and the value unless it is `secret`: `must be a whole number, not “abc”`."""
    facts = {name: _fact(value) for name, value in details.get("ctx", {}).items()}
    one = 1 in (facts.get("min_length"), facts.get("max_length"))
    units = (
        {"characters": "character", "entries": "entry"} if one else {"characters": "characters", "entries": "entries"}
    )
    sentence = REASONS.get(details["type"], "is not a valid value").format(**units, **facts)
    given = details["input"]
    whole_table = details["type"] == "value_error" and isinstance(given, dict | list | tuple)
    quoted = isinstance(details.get("ctx", {}).get("error"), Quoted)
    if secret or whole_table or quoted or not details["loc"] or details["type"] in _WITHOUT_VALUE:
        return sentence
    return f"{sentence}, not {_given(given)}"


def place(details: ErrorDetails) -> str:
    """Return where in its setting a value is wrong: `entry 1, key`; "" for the whole setting."""
    return ", ".join(f"entry {part + 1}" if isinstance(part, int) else part for part in details["loc"][1:])


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?`, or "" if no name in `known` is similar."""
    found = difflib.get_close_matches(name.lower(), known, 1)
    return f"; did you mean {found[0]}?" if found else ""


def _fact(value: object) -> object:
    """Return a fact of the library as it is shown: whole numbers without `.0`, texts in “ ”."""
    if isinstance(value, str):
        return re.sub(r"'([^']*)'", r"“\1”", value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _given(value: object) -> str:
    if isinstance(value, str):
        return f"“{shown(value)}”"
    try:
        return shown(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return shown(str(value))
