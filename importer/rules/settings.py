"""What one tenant may choose about its imports, with the safe defaults; checked as a whole.  Pure.

Headers and values are compared as people read them: without case, spaces around and invisible characters.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypedDict

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from importer.file.header import COLUMNS, DELIMITERS, MAPPED_ONLY, REPORT_COLUMNS, REQUIRED, Names, fold
from importer.rules.cells import ISO_DATE, Invalid, check_date, date_in
from importer.rules.custom import MAX_FIELDS, CustomField
from importer.rules.rulebook import rules_of

Percent = Annotated[float, Field(ge=0, le=100)]
Lines = Annotated[int, Field(ge=0, le=100)]

KEPT_KEYS = frozenset({"leave_date", "active"})
"""Our fields that came after custom fields of these names could be made: one that is there stays the tenant's own."""

TAKEN_KEYS = frozenset({*COLUMNS, "skills", "state", "protected", "custom", "id"}) - KEPT_KEYS
"""What a custom field can't be called: it would be taken for something else."""

NO_ENCODINGS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "utf_7"}
)
"""What Python calls text encodings, but no file is written in; or, as UTF-7, may hold what is no text."""

DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
"""What may be said instead of the character."""

_DIRECTIVE = re.compile(r"%(.)")
_YEAR, _MONTH, _DAY, _TIME = {"Y", "y"}, {"m", "b", "B"}, {"d"}, {"H", "I", "M", "S", "f", "p", "z"}
_SAMPLE_DAYS = ("2001-02-03", "2024-02-29", "1999-12-31", "2019-10-11")


def _from_json(value: object) -> object:
    """Tables and lists may come as JSON text, which is how they are typed on a command line."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON text") from None


Mapped = Annotated[dict[str, str], BeforeValidator(_from_json)]
MappedByField = Annotated[dict[str, dict[str, str]], BeforeValidator(_from_json)]
CustomFields = Annotated[tuple[CustomField, ...], BeforeValidator(_from_json), Field(max_length=MAX_FIELDS)]


class Unfit(ValueError):  # noqa: N818 - what it is
    """Settings that don't go together; `setting` is the one to look at first."""

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(sentence)
        self.setting = setting


class Form(TypedDict):
    """The form of a tenant's files."""

    delimiter: str
    encoding: str
    names: Names
    skip_first: int
    skip_last: int


class ImportSettings(BaseModel):
    """The settings of one tenant that the importer obeys. Frozen: an import runs with one set from end to end.

    `identifier` is `email` or the key of a custom field. `field_mapping` is from their header to our field: of
    several that name one field, the first that is in the file counts; `""` ignores the column without a word.
    `value_mapping` is, for a field, from their value to ours; `""` means a blank cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identifier: str = "email"
    deactivate_missing: bool = False
    reactivate_returning: bool = True
    blank_cells: Literal["clear", "keep"] = "clear"
    max_deactivations_percent: Percent = 10
    max_deactivations_min: Annotated[int, Field(ge=0)] = 5
    max_creations_percent: Percent | None = None
    max_updates_percent: Percent | None = None
    max_row_drop_percent: Percent = 20
    require_final_newline: bool = True
    detect_truncation: bool = True
    require_checksum: bool = False
    delimiter: str = ","
    encoding: str = "utf-8"
    skip_first_lines: Lines = 0
    skip_last_lines: Lines = 0
    date_format: str = ISO_DATE
    field_mapping: Mapped = {}
    value_mapping: MappedByField = {}
    custom_fields: CustomFields = ()
    invitations: Literal["off", "immediately", "on_hire_date"] = "off"

    def with_changes(self, changes: Mapping[str, object]) -> Self:
        """These settings with `changes` put in. Raises ValueError if they don't go together."""
        return type(self).model_validate({**dict(self), **changes})

    @property
    def columns(self) -> tuple[str, ...]:
        """Every field that a column of its name can set: ours, then the custom ones."""
        return (*(name for name in COLUMNS if name not in self.own), *(field.key for field in self.custom_fields))

    @property
    def own(self) -> frozenset[str]:
        """The keys of the custom fields. A field of ours that has one of these names is not there."""
        return frozenset(field.key for field in self.custom_fields)

    @property
    def shadowed(self) -> tuple[str, ...]:
        """Our fields that this tenant does not have, because a custom field of the name was there before."""
        return tuple(sorted(KEPT_KEYS & self.own))

    @property
    def targets(self) -> tuple[str, ...]:
        """Every field that a header can be mapped to."""
        return (*self.columns, *(name for name in MAPPED_ONLY if name not in self.own))

    @property
    def names(self) -> Names:
        """What the columns of this tenant's files may be called."""
        required = REQUIRED if self.identifier in REQUIRED else (*REQUIRED, self.identifier)
        return Names(self.columns, required, {fold(theirs): ours for theirs, ours in self.field_mapping.items()})

    @property
    def form(self) -> Form:
        """How files look: what a CsvReader is to be told."""
        return {
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "names": self.names,
            "skip_first": self.skip_first_lines,
            "skip_last": self.skip_last_lines,
        }

    @field_validator("*", mode="wrap")
    @classmethod
    def _true_is_no_number(cls, given: object, judge: ValidatorFunctionWrapHandler) -> object:
        found = judge(given)
        if isinstance(given, bool) and not isinstance(found, bool):
            raise PydanticKnownError("float_type")
        return found

    @field_validator("delimiter")
    @classmethod
    def _known_delimiter(cls, given: str) -> str:
        found = DELIMITER_NAMES.get(given.lower(), given)
        if found not in DELIMITERS:
            raise ValueError("must be a comma, a semicolon, a tab (or the word tab) or a |")
        return found

    @field_validator("encoding")
    @classmethod
    def _readable_encoding(cls, given: str) -> str:
        if not _reads_text(given):
            raise ValueError("must be the name of an encoding that Python knows, such as utf-8, cp1252 or latin-1")
        return given.strip().lower()

    @field_validator("date_format")
    @classmethod
    def _sane_date_format(cls, given: str) -> str:
        given = given.strip()
        named = _DIRECTIVE.findall(given)
        once = all(len([name for name in named if name in kind]) == 1 for kind in (_YEAR, _MONTH, _DAY))
        if not once or not set(named) <= _YEAR | _MONTH | _DAY | _TIME or not _reads_its_own(given):
            raise ValueError("must name year, month and day once each, such as %Y-%m-%d, %d.%m.%Y or %m/%d/%Y")
        return given

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _refuse_half_characters(self.model_dump())
        keys = [field.key for field in self.custom_fields]
        _refuse_keys(keys)
        if self.identifier != "email" and self.identifier not in keys:
            raise Unfit(
                "identifier", f"identifier must be email or the key of a custom field, not {self.identifier!r}"
            )
        by_key = {field.key: field for field in self.custom_fields}
        if self.identifier in by_key and by_key[self.identifier].type != "text":
            raise Unfit(
                "identifier", f"the custom field {self.identifier} is the identifier, so its type must be text"
            )
        _refuse_headers(self.field_mapping, self.targets)
        if {"active", "deactivate"} <= set(self.field_mapping.values()) and "active" not in self.own:
            raise Unfit(
                "field_mapping",
                "field_mapping has a header for active and one for deactivate, which says the same the other way "
                "round; map only one of the two",
            )
        for name in self.names.required:
            if self.names.header(name) is None:
                raise Unfit("field_mapping", f"field_mapping leaves no header for {name}, which every file must have")
        self._refuse_values()
        return self

    def _refuse_values(self) -> None:
        rules = rules_of(self.date_format, self.custom_fields)
        for name, values in self.value_mapping.items():
            if name not in rules:
                raise Unfit("value_mapping", f"value_mapping names {name!r}, which is no field")
            if name in ("email", self.identifier):
                raise Unfit("value_mapping", f"value_mapping can't map {name}: it must tell people apart")
            if len({fold(theirs) for theirs in values}) < len(values):
                raise Unfit("value_mapping", f"value_mapping names a value of {name} twice")
            for theirs, ours in values.items():
                if not fold(theirs) and not (ours and name == "active" and name not in self.own):
                    raise Unfit("value_mapping", f"value_mapping can't map a blank {name}")
                found = rules[name](unicodedata.normalize("NFC", ours)) if ours else None
                if isinstance(found, Invalid):
                    raise Unfit(
                        "value_mapping", f"value_mapping maps {theirs!r} to {ours!r} for {name}: {found.message}"
                    )


def _refuse_half_characters(values: Mapping[str, object]) -> None:
    """JSON can hold what no file and no database can: half of a character that takes two of its units."""
    for name, value in values.items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            raise Unfit(name, f"there is half a character in {name}; type it anew") from None


def _refuse_keys(keys: list[str]) -> None:
    for key in keys:
        if key in TAKEN_KEYS:
            raise Unfit("custom_fields", f"a custom field can't be called {key}: that name has a meaning already")
        if keys.count(key) > 1:
            raise Unfit("custom_fields", f"there are two custom fields of the key {key}")


def _refuse_headers(mapping: Mapping[str, str], columns: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for theirs, ours in mapping.items():
        name = fold(theirs)
        if not name or name in REPORT_COLUMNS:
            raise Unfit("field_mapping", f"field_mapping can't map the header {theirs!r}")
        if name in seen:
            raise Unfit("field_mapping", f"field_mapping names the header {theirs!r} twice")
        if ours and ours not in columns:
            raise Unfit("field_mapping", f"field_mapping maps {theirs!r} to {ours!r}, which is no field")
        seen.add(name)


def _reads_text(encoding: str) -> bool:
    """Whether files can be in `encoding`: one that Python knows, and that writes headers and line ends its way."""
    sample = 'first_name,e;|\t"1"\r\n'
    try:
        name = codecs.lookup(encoding.strip()).name
        return name.replace("-", "_") not in NO_ENCODINGS and sample.encode(name).decode(name) == sample
    except (LookupError, ValueError, TypeError):
        return False


def _reads_its_own(date_format: str) -> bool:
    """Whether days that are written in `date_format` are read as the same days."""
    try:
        return all(check_date(date_in(day, date_format), date_format) == day for day in _SAMPLE_DAYS)
    except ValueError:
        return False
