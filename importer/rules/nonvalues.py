"""Recognize cells without a value: spreadsheet errors and formulas, words for “no value”, and HTML. Pure.

An error or a formula is never a value: it rejects the row if a value is required, else it leaves the field unchanged.
Words for “no value” and HTML entities are kept, since they may be intended. Each makes one warning for a column, not
one for a row.
"""

from __future__ import annotations

import html
import re
from contextlib import suppress

from importer.rules.cells import LEAVE, Doubtful, FieldValue, Invalid
from importer.rules.custom import Rule

_ERRORS = frozenset(
    {
        *("#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!", "#spill!", "#calc!", "#field!"),
        *("#blocked!", "#connect!", "#unknown!", "#busy!", "#getting_data", "#error!", "#python!", "#external!"),
        # German, French, Spanish, Italian, Portuguese, Dutch, Polish
        *("#nv", "#bezug!", "#wert!", "#zahl!", "#überlauf!", "#kalk!", "#feld!", "#blockiert!"),
        *("#nom?", "#valeur!", "#nul!", "#nombre!", "#propagation!", "#calcul!"),
        *(
            "#¡ref!",
            "#¿nombre?",
            "#¡valor!",
            "#¡div/0!",
            "#¡num!",
            "#¡núm!",
            "#¡nulo!",
            "#¡desbordamiento!",
            "#¡calc!",
        ),
        *("#rif!", "#valore!", "#nome?", "#n/d", "#nullo!", "#espansione!"),
        *("#valor!", "#núm!", "#nulo!", "#despejar!"),
        *("#waarde!", "#verw!", "#naam?", "#deel/0!", "#n/b", "#getal!", "#leeg!", "#overloop!"),
        *("#arg!", "#adr!", "#nazwa?", "#dziel/0!", "#n/d!", "#liczba!", "#zero!", "#rozlanie!"),
    }
)
_OTHER_ERRORS = re.compile(r"err:5[0-9][0-9]|#{3,}", re.IGNORECASE)
"""LibreOffice: the number of an error, and what it shows of a cell whose column is too narrow."""

_FORMULA = re.compile(r"""=(?:["'0-9+-]|[^\W\d_][\w.]*\()""")

_NOTHING = frozenset(
    {"null", "\\n", "n/a", "nan", "none", "-", "--", "\u2013", "\u2014", "(null)", "<null>", "(blank)"}
)
_LONGEST_NOTHING = max(map(len, _NOTHING))
_RUN = re.compile(
    "[\u00c2-\u00df\u00e1-\u00ef]"
    "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201a"
    "\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]{1,2}"
)
"""A letter in UTF-8 that was read as Windows-1252 or Latin-1."""
_READ_RIGHT = re.compile("[\u00a1-\u017f\u0218-\u021b\u0370-\u04ff\u2010-\u203a]")
_LOST = re.compile(r"[^\W\d_]\?|\?[^\W\d_]")
_GARBLED = (
    "Letters were lost or garbled when the text was saved in another encoding. In the system that the file comes "
    "from, "
    "export it again as “CSV UTF-8”."
)
GARBLED = Invalid("control_character", _GARBLED)
"""The fault of a garbled text that has control characters, so it cannot be kept."""

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")

NEED_A_VALUE = frozenset({"deactivate", "active"})
"""Optional columns whose cells need a value: they decide whether the user is deactivated."""

FREE = frozenset({"first_name", "last_name", "job_title", "primary_team", "secondary_team", "location"})
"""Standard fields that take any text."""
_NAMES = frozenset({"first_name", "last_name"})


def means_no_value(text: str) -> bool:
    """Return whether `text` is a word that systems write for “no value”."""
    return len(text) <= _LONGEST_NOTHING and text.lower() in _NOTHING


def is_error(text: str) -> bool:
    """Return whether `text` is what a spreadsheet writes if a formula fails."""
    return text.lower() in _ERRORS or bool(_OTHER_ERRORS.fullmatch(text))


def is_formula(text: str) -> bool:
    """Return whether `text` begins like a spreadsheet formula."""
    return bool(_FORMULA.match(text))


def sift(name: str, rule: Rule, *, needed: bool, free: bool) -> Rule:
    """Return `rule` of the column `name`, with a check before it for cells without a value.

    `needed`: a cell without a value rejects the row. `free`: the column takes any text.
    """
    words = _doubt_of_name if needed else _doubt

    def judge(text: str) -> FieldValue | Invalid | Doubtful:
        if text[0] in "=#eE":
            if is_error(text):
                return _error(needed)
            if text[0] == "=" and is_formula(text):
                return _formula(needed)
        found = rule(text)
        if isinstance(found, Invalid) and not needed and means_no_value(text):
            advice = f'If “{text}” means “no value”, leave the cell blank, or map it to "" in value_mapping.'
            return Invalid(found.code, f"{found.message} {advice}")
        if not free or isinstance(found, Invalid | Doubtful):
            return found
        if means_no_value(text):
            return words(name, text, found)
        if is_garbled(text) if not text.isascii() else "?" in text and name in _NAMES and _LOST.search(text):
            return Doubtful(found, "garbled_text", f"It was kept. {_GARBLED}", least=1)
        return _web_text(name, found, needed) if "&" in text and _is_web_text(text) else found

    return judge


def is_garbled(text: str) -> bool:
    """Return whether `text` has the mark of a lost letter, or UTF-8 letters that were read in another encoding."""
    return "\ufffd" in text or any(_is_letter(run) for run in _RUN.findall(text))


def _is_letter(run: str) -> bool:
    octets = b"".join(letter.encode("latin-1" if letter < "\u0100" else "cp1252") for letter in run)
    for end in (2, 3):
        with suppress(UnicodeDecodeError):
            return bool(_READ_RIGHT.fullmatch(octets[:end].decode()))
    return False


def _error(needed: bool) -> Invalid | Doubtful:
    what = "A spreadsheet writes this if a formula fails"
    advice = "Fix the formula and export again."
    if needed:
        return Invalid("spreadsheet_error", f"{what}. {advice}")
    return Doubtful(LEAVE, "spreadsheet_error", f"{what}. The field was not changed. {advice}", least=1)


def _formula(needed: bool) -> Invalid | Doubtful:
    what = "A formula is not a value"
    advice = "In the spreadsheet, copy the column, paste it as values only, and export again."
    if needed:
        return Invalid("formula", f"{what}. {advice}")
    return Doubtful(LEAVE, "formula", f"{what}: the field was not changed. {advice}", least=1)


def _doubt(name: str, text: str, found: FieldValue) -> Doubtful:
    message = (
        "Such text was kept as the value. If it means “no value”, leave the cell blank, or map it to "
        f'"" for {name} in value_mapping.'
    )
    return Doubtful(found, "placeholder", message, least=1)


def _doubt_of_name(name: str, text: str, found: FieldValue) -> FieldValue | Doubtful:
    """Do the same for a name or identifier. “-” stands for a missing name, and some people are named Null."""
    if name in _NAMES and text == "-":
        return found
    message = f"Such text was kept as the {name}. If it is wrong, fix it and export again."
    return Doubtful(found, "placeholder", message, least=2 if name in _NAMES else 1)


def _is_web_text(text: str) -> bool:
    return any(html.unescape(entity) != entity for entity in _ENTITY.findall(text))


def _web_text(name: str, found: FieldValue, needed: bool) -> Doubtful:
    mapping = "" if needed else f', or map it to the right value ("" for blank) for {name} in value_mapping'
    message = f"This looks like HTML (&amp; means &) and was kept as it is. Export plain text{mapping}."
    return Doubtful(found, "html_entities", message, least=1)
