"""The import settings of one tenant, with safe defaults, validated together. Pure.

Headers and values are compared without case, surrounding spaces and invisible characters.
"""

from __future__ import annotations

import codecs
import hashlib
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
"""Standard fields added after tenants could have custom fields of these names. Such a custom field stays in use."""

TAKEN_KEYS = frozenset({*COLUMNS, "skills", "state", "protected", "custom", "id"}) - KEPT_KEYS
"""Keys that a custom field cannot have: they have another meaning."""

NO_ENCODINGS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "utf_7"}
)
"""Python encodings that no file is written in, or, as UTF-7, that can hold what is not text."""

DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
"""Names accepted in place of the delimiter."""

_DIRECTIVE = re.compile(r"%(.)")
_YEAR, _MONTH, _DAY, _TIME = {"Y", "y"}, {"m", "b", "B"}, {"d"}, {"H", "I", "M", "S", "f", "p", "z"}
_SAMPLE_DAYS = ("2001-02-03", "2024-02-29", "1999-12-31", "2019-10-11")


def _from_json(value: object) -> object:
    """Parse a table or list given as JSON text, as on a command line."""
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
    """Settings that contradict each other. `setting` is the first to check."""

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(sentence)
        self.setting = setting


class Form(TypedDict):
    """The file format of a tenant: arguments of `CsvReader`."""

    delimiter: str
    encoding: str
    names: Names
    skip_first: int
    skip_last: int


class ImportSettings(BaseModel):
    """The import settings of one tenant. Frozen: an import uses one set from beginning to end.

    `identifier` is `email` or the key of a custom field. `field_mapping` maps headers of the file to fields. If
    several headers map to one field, the first that the file has counts; `""` ignores the column without a message.
    `value_mapping` maps, for each field, values of the file to valid values; `""` means a blank cell.
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
        """Return these settings with `changes`. Raises ValueError if the result is not valid."""
        return type(self).model_validate({**dict(self), **changes})

    @property
    def fingerprint(self) -> str:
        """A hash of the settings of imports. It differs if one of them differs."""
        found = self.model_dump_json(include=set(ImportSettings.model_fields))
        return hashlib.sha256(found.encode()).hexdigest()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every field that a column of its name can set: the standard fields, then the custom ones."""
        return (*(name for name in COLUMNS if name not in self.own), *(field.key for field in self.custom_fields))

    @property
    def own(self) -> frozenset[str]:
        """The keys of the custom fields. They replace standard fields of the same names."""
        return frozenset(field.key for field in self.custom_fields)

    @property
    def shadowed(self) -> tuple[str, ...]:
        """The standard fields that custom fields of this tenant replace."""
        return tuple(sorted(KEPT_KEYS & self.own))

    @property
    def targets(self) -> tuple[str, ...]:
        """Every field to which a header can be mapped."""
        return (*self.columns, *(name for name in MAPPED_ONLY if name not in self.own))

    @property
    def names(self) -> Names:
        """The names that the columns of this tenant's files may have."""
        required = REQUIRED if self.identifier in REQUIRED else (*REQUIRED, self.identifier)
        return Names(self.columns, required, {fold(theirs): ours for theirs, ours in self.field_mapping.items()})

    @property
    def form(self) -> Form:
        """The file format, as arguments of `CsvReader`."""
        return {
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "names": self.names,
            "skip_first": self.skip_first_lines,
            "skip_last": self.skip_last_lines,
        }

    @field_validator("*", mode="wrap")
    @classmethod
    def _true_is_not_a_number(cls, given: object, judge: ValidatorFunctionWrapHandler) -> object:
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
                "identifier", f"identifier must be email or the key of a custom field, not “{self.identifier}”"
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
                "field_mapping has a header for active and one for deactivate, its opposite; map only one of them",
            )
        for name in self.names.required:
            if self.names.header(name) is None:
                raise Unfit(
                    "field_mapping", f"field_mapping leaves no header for {name}, a column that every file must have"
                )
        self._refuse_values()
        return self

    def _refuse_values(self) -> None:
        rules = rules_of(self.date_format, self.custom_fields)
        for name, values in self.value_mapping.items():
            if name not in rules:
                raise Unfit("value_mapping", f"value_mapping names “{name}”, which is not a field")
            if name in ("email", self.identifier):
                raise Unfit("value_mapping", f"value_mapping cannot map {name}: it identifies users")
            if len({fold(theirs) for theirs in values}) < len(values):
                raise Unfit("value_mapping", f"value_mapping names a value of {name} twice")
            for theirs, ours in values.items():
                if not fold(theirs) and not (ours and name == "active" and name not in self.own):
                    raise Unfit("value_mapping", f"value_mapping cannot map a blank {name}")
                found = rules[name](unicodedata.normalize("NFC", ours)) if ours else None
                if isinstance(found, Invalid):
                    raise Unfit(
                        "value_mapping", f"value_mapping maps “{theirs}” to “{ours}” for {name}: {found.message}"
                    )


def _refuse_half_characters(values: Mapping[str, object]) -> None:
    """Refuse half a surrogate pair, which JSON can hold, but no file or database."""
    for name, value in values.items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            raise Unfit(name, f"{name} contains half a character; type it again") from None


def _refuse_keys(keys: list[str]) -> None:
    for key in keys:
        if key in TAKEN_KEYS:
            raise Unfit("custom_fields", f"a custom field cannot have the key {key}: it is reserved")
        if keys.count(key) > 1:
            raise Unfit("custom_fields", f"two custom fields have the key {key}")


def _refuse_headers(mapping: Mapping[str, str], columns: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for theirs, ours in mapping.items():
        name = fold(theirs)
        if not name or name in REPORT_COLUMNS:
            raise Unfit("field_mapping", f"field_mapping cannot map the header “{theirs}”")
        if name in seen:
            raise Unfit("field_mapping", f"field_mapping names the header “{theirs}” twice")
        if ours and ours not in columns:
            raise Unfit("field_mapping", f"field_mapping maps “{theirs}” to “{ours}”, which is not a field")
        seen.add(name)


def _reads_text(encoding: str) -> bool:
    """Return whether Python knows `encoding`, and a header and line end in it decode to the same text."""
    sample = 'first_name,e;|\t"1"\r\n'
    try:
        name = codecs.lookup(encoding.strip()).name
        return name.replace("-", "_") not in NO_ENCODINGS and sample.encode(name).decode(name) == sample
    except (LookupError, ValueError, TypeError):
        return False


def _reads_its_own(date_format: str) -> bool:
    """Return whether days written in `date_format` are read as the same days."""
    try:
        return all(check_date(date_in(day, date_format), date_format) == day for day in _SAMPLE_DAYS)
    except ValueError:
        return False
