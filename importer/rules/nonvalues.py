"""Cells that hold no value: errors and formulas of a spreadsheet, words for nothing, and text of a web page.  Pure.

An error or a formula is never taken: it rejects the row where a value must be, and leaves the field as it was
elsewhere. What says nothing in words, or holds HTML entities, is kept, since it may be meant. Of either there is one
warning for a column, not one for a row.
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
"""Of LibreOffice: an error by its number, and what is shown of a cell whose column is too narrow."""

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
"""What one letter in UTF-8 becomes where it is read as Windows-1252 or Latin-1."""
_READ_RIGHT = re.compile("[\u00a1-\u017f\u0218-\u021b\u0370-\u04ff\u2010-\u203a]")
_LOST = re.compile(r"[^\W\d_]\?|\?[^\W\d_]")
_GARBLED = (
    "Letters were lost or garbled when the text was saved in another encoding. Export the file again from the system "
    "it comes from, as “CSV UTF-8”."
)
GARBLED = Invalid("control_character", _GARBLED)
"""What is wrong with a garbled text that cannot be kept, as it holds control characters."""

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")

MUST_SAY = frozenset({"deactivate", "active"})
"""Fields beside those required whose cells can't stay as they were: they say what becomes of the user."""

FREE = frozenset({"first_name", "last_name", "job_title", "primary_team", "secondary_team", "location"})
"""Our fields that take any text."""
_NAMES = frozenset({"first_name", "last_name"})


def says_nothing(text: str) -> bool:
    """Whether `text` is one of the words that systems write for nothing."""
    return len(text) <= _LONGEST_NOTHING and text.lower() in _NOTHING


def is_error(text: str) -> bool:
    """Whether `text` is what a spreadsheet writes where a formula fails."""
    return text.lower() in _ERRORS or bool(_OTHER_ERRORS.fullmatch(text))


def is_formula(text: str) -> bool:
    """Whether `text` is a formula of a spreadsheet, as far as that can be told from its beginning."""
    return bool(_FORMULA.match(text))


def sift(name: str, rule: Rule, *, needed: bool, free: bool) -> Rule:
    """`rule` of the column `name` for cells as a system wrote them: what is no value does not reach it.

    `needed`: without a value the row is rejected. `free`: the column takes any text.
    """
    words = _doubt_of_name if needed else _doubt

    def judge(text: str) -> FieldValue | Invalid | Doubtful:
        if text[0] in "=#eE":
            if is_error(text):
                return _error(needed)
            if text[0] == "=" and is_formula(text):
                return _formula(needed)
        found = rule(text)
        if isinstance(found, Invalid) and not needed and says_nothing(text):
            advice = f'If “{text}” means that there is none, leave the cell blank, or map it to "" in value_mapping.'
            return Invalid(found.code, f"{found.message} {advice}")
        if not free or isinstance(found, Invalid | Doubtful):
            return found
        if says_nothing(text):
            return words(name, text, found)
        if is_garbled(text) if not text.isascii() else "?" in text and name in _NAMES and _LOST.search(text):
            return Doubtful(found, "garbled_text", f"It was kept. {_GARBLED}", least=1)
        return _web_text(name, found, needed) if "&" in text and _is_web_text(text) else found

    return judge


def is_garbled(text: str) -> bool:
    """Whether `text` holds the mark of a lost letter, or letters in UTF-8 that were read as another encoding."""
    return "\ufffd" in text or any(_is_letter(run) for run in _RUN.findall(text))


def _is_letter(run: str) -> bool:
    octets = b"".join(letter.encode("latin-1" if letter < "\u0100" else "cp1252") for letter in run)
    for end in (2, 3):
        with suppress(UnicodeDecodeError):
            return bool(_READ_RIGHT.fullmatch(octets[:end].decode()))
    return False


def _error(needed: bool) -> Invalid | Doubtful:
    what = "The spreadsheet writes this where a formula fails, and it is not a value"
    advice = "Correct the formula, and export again."
    if needed:
        return Invalid("spreadsheet_error", f"{what}. {advice}")
    return Doubtful(LEAVE, "spreadsheet_error", f"{what}: the field stays as it was. {advice}", least=1)


def _formula(needed: bool) -> Invalid | Doubtful:
    what = "This is a formula, not its result"
    advice = "In the spreadsheet copy the column, paste it as values only, and export again."
    if needed:
        return Invalid("formula", f"{what}. {advice}")
    return Doubtful(LEAVE, "formula", f"{what}: the field stays as it was. {advice}", least=1)


def _doubt(name: str, text: str, found: FieldValue) -> Doubtful:
    message = (
        "Such text was kept as the value. If it means that there is none, leave the cell blank, or have it read as "
        f'blank: in the setting value_mapping map it to "" for {name}.'
    )
    return Doubtful(found, "placeholder", message, least=1)


def _doubt_of_name(name: str, text: str, found: FieldValue) -> FieldValue | Doubtful:
    """Of a name or an identifier. “-” is what to write for a name that there is not; and some are called Null."""
    if name in _NAMES and text == "-":
        return found
    message = f"Such text was kept as the {name}. If it is not, write the right one, and export again."
    return Doubtful(found, "placeholder", message, least=2 if name in _NAMES else 1)


def _is_web_text(text: str) -> bool:
    return any(html.unescape(entity) != entity for entity in _ENTITY.findall(text))


def _web_text(name: str, found: FieldValue, needed: bool) -> Doubtful:
    mapping = "" if needed else f', or map it to the right value ("" for blank) in value_mapping for {name}'
    message = (
        "This looks like the text of a web page (&amp; stands for &) and was kept as it is. "
        f"Have the export write plain text{mapping}."
    )
    return Doubtful(found, "html_entities", message, least=1)
