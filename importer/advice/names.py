"""Columns that look like a field but are not one: codes, private addresses, data of other people, full names; and
cells with text around an address.  Pure.

A proposal that maps such a column would make every row worse, however similar the names are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from importer.file.header import COLUMNS
from importer.file.leavers import words_of
from importer.file.letters import visible
from importer.file.synonyms import MANAGERS_NUMBERS, NUMBERS, SYNONYMS, plain
from importer.model import shown
from importer.rules.emails import address_within
from importer.rules.meanings import tidy
from importer.rules.nonvalues import is_error, is_formula

MOSTLY = 0.9
"""The share of a column's cells that must be of a kind for the column to be."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_KNOWN = frozenset(
    [*(word for words in SYNONYMS.values() for word in words), *NUMBERS, *MANAGERS_NUMBERS, *map(plain, COLUMNS)]
)

_CODES = _set(
    "id ids code codes key keys number numbers no num nr nummer kennung kurzel schlussel codigo codice cod kod"
    " numero identifiant identificador identificatore identyfikator oid guid uuid ref reference abbreviation kode"
)
_PRIVATE = _set(
    "home personal private privat privee prive perso personnel personnelle personale privata privato"
    " particular pessoal prywatny prywatna domowy secondary alternate alternative additional other"
)
_OF_A_PERSON = _set("email mail address adresse correo courriel mobile phone telephone")
_MANAGERS = _set(
    "manager managers supervisor supervisors reports vorgesetzter vorgesetzte vorgesetzten superieur responsable jefe"
    " responsabile gestor leidinggevende przelozony przelozonego coach mentor"
)
_OTHERS = _set(
    "emergency spouse partner dependent beneficiary notfall notfallkontakt urgence emergencia emergenza noodgeval"
    " hrbp recruiter sponsor contact kontakt referrer assistant"
)
_TRAITS = _set("first last given family middle name names title job department location phone level grade type")
_OTHER_DATES = _set(
    "rehire rehired birth born birthday birthdate dob geburtsdatum geburtstag geburt"
    " naissance nacimiento nascita nascimento geboorte"
    " geboortedatum urodzenia termination terminated end leave leaving exit separation probation contract visa"
    " seniority service effective review promotion position job retirement wiedereintritt reembauche recontratacion"
)
_DAYS = _set("date datum data fecha day dia jour tag")
_SPANS = _set("history count span chain level levels path hierarchy type category status class group grade country")

_BIRTHDAYS = _set("geburtsdatum geburtstag birthday birthdate geboortedatum dob")
_COST_CENTERS = _set(
    "costcenter costcentre costcenters kostenstelle kst centredecout centredecouts centrodecosto centrodecostos"
    " centrodecoste centrodecustos centrodecusto centrodicosto kostenplaats mpk"
    " centrumkosztow 成本中心 コストセンター"
)


_CONTRACT = _set(
    "contract contracts contractual contrat contrato contratto vertrag vertrags vertragsende contractenddate umowy"
    " befristet befristung fixed arbeidsovereenkomst"
)
_AT_WORK = _set("work business office company professional professionnel professionnelle werk dienstlich")


def is_of_a_contract(header: str) -> bool:
    """Return whether a column holds dates of a contract; another contract may follow."""
    return bool(set(words_of(header)) & _CONTRACT)


def is_address_of_another(header: str) -> bool:
    """Return whether the addresses in this column are private, or belong to another person."""
    bare = set(words_of(header))
    return bool(bare & (_PRIVATE | _MANAGERS | _OTHERS - {"contact", "kontakt"})) and not (
        bare & _AT_WORK and not bare & _MANAGERS
    )


def names_manager(header: str) -> bool:
    """Return whether a column is about the user's manager, and not about an assistant or a manager's manager."""
    words = words_of(header)
    return len(set(words) & _MANAGERS) == 1 and not set(words) & (_OTHERS | {"coach", "mentor", "2", "second"})


def not_a_field(header: str) -> str:
    """Return why a column with this header is not a field, however similar its name is; '' if it may be one.

    Not for columns that tell who has left.
    """
    words = words_of(header)
    joined = plain(header)
    if (
        joined in _COST_CENTERS
        or joined.removesuffix("name").removesuffix("id").removesuffix("code") in _COST_CENTERS
    ):
        return "It is a cost center. A custom field can hold it."
    if not words or joined in _KNOWN:
        return ""
    bare = set(words)
    named = bare & _MANAGERS
    if bare & _OTHERS:
        return "It is about another person or a contact."
    if named and bare & _TRAITS:
        return "It does not identify the manager."
    if bare & _PRIVATE and bare & _OF_A_PERSON:
        return "It is not the work address."
    if words[-1] in _CODES or words[0] in {"id", "code", "codigo", "codice", "kod"}:
        return "It holds codes, not names."
    if bare & _OTHER_DATES and (bare & _DAYS or bare & _BIRTHDAYS):
        return "It is not the hire date."
    if words[-1].isdigit() and words[-1] != "1":
        return "It is not the first of several such columns."
    if words[-1] in _SPANS or words[0] in {"previous", "former", "old", "next", "number", "count", "is"}:
        return "It holds something else about the field."
    return ""


# Whole names.

_WHOLE_WORDS = _set(
    "name fullname employeename employeefullname employee worker workername payrollname legalname displayname"
    " preferredname preferredfullname completename username personname staffname associatename teammember"
    " legalnameingeneraldisplayformat nameoftheemployee employeesname fullnameemployee fullnamelegal"
    " mitarbeiter mitarbeiterin mitarbeitername vollname vollstandigername namevorname nachnamevorname"
    " vornamenachname vornameundnachname nachnameundvorname nameundvorname vornamename anzeigename"
    " person personname mitarbeitende"
    " nomcomplet nometprenom nomprenom prenomnom nomsetprenoms prenometnom salarie collaborateur employe nomdusalarie"
    " nomducollaborateur nomaffiche nombrecompleto nombreyapellido nombreyapellidos apellidosynombre"
    " apellidoynombre empleado trabajador colaborador nombredelempleado nombreempleado nominativo nomecompleto"
    " nomeecognome cognomeenome cognomenome nomecognome dipendente collaboratore nomedipendente nomeesobrenome"
    " nomedofuncionario nomedocolaborador funcionario naam volledigenaam medewerker werknemer naammedewerker"
    " imieinazwisko nazwiskoiimie imienazwisko nazwiskoimie pracownik"
    " 氏名 名前 姓名 従業員名 社員名 員工姓名 员工姓名 الاسم الاسمالكامل اسمالموظف"
)
_WHOLE = frozenset(map(plain, _WHOLE_WORDS))
"""Headers of columns that may hold first and last names together. Some mean only one of the two elsewhere."""

_ASIAN_LETTERS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class WholeNames:
    """A column of full names. `last_first`: written “Lee, Ann”; else probably “Ann Lee”."""

    last_first: bool
    sentence: str


def whole_names(header: str, cells: Sequence[str]) -> WholeNames | None:
    """Return the sentence about a column of first and last names together; None if it does not look like one.

    `Name` is often only the last name: the cells decide.
    """
    if plain(header) not in _WHOLE:
        return None
    filled = [cell for cell in map(tidy, cells) if cell and not any(letter.isdigit() for letter in cell)]
    if not filled or any("@" in cell for cell in filled[:20]):
        return None
    commas = sum(_is_last_first(cell) for cell in filled)
    words = sum(len(re.split(r"[\s\u3000]+", cell)) > 1 or bool(_ASIAN_LETTERS.search(cell)) for cell in filled)
    if commas < MOSTLY * len(filled) and words < MOSTLY * len(filled):
        return None
    last_first = commas >= MOSTLY * len(filled)
    example = shown(visible(filled[0]))
    return WholeNames(
        last_first,
        f"“{shown(visible(header.strip()))}” holds the first and the last name together (“{example}”). "
        "Export two columns, first_name and last_name, or split it in a spreadsheet.",
    )


def _is_last_first(cell: str) -> bool:
    last, comma, first = cell.partition(",")
    return bool(comma and last.strip() and first.strip())


# Columns that name users: by an address with more around it, or by a name that finds none.


def wrong_names(name: str, header: str, cells: Sequence[str], identifier: str) -> str:
    """Return the sentence about a column read as `name` (email or a link) whose cells do not identify users.

    `identifier` is the field by which links find users besides addresses. '' if there is nothing to say.
    """
    said = wrapped_addresses(header, cells)
    if said or name == "email" or not holds_names(cells):
        return said
    example = next(cell for cell in map(tidy, cells) if cell and not is_error(cell) and not is_formula(cell))
    by = "email address" if identifier == "email" else f"{identifier} or email address"
    return (
        f"“{shown(visible(header.strip()))}” holds names (“{shown(visible(example))}”), but a {name} is found by "
        f"{by}. Export that instead of the name, or write it in the cells."
    )


def wrapped_addresses(header: str, cells: Sequence[str]) -> str:
    """Return the sentence about addresses with a name, brackets or `mailto:` around them; '' if there are none."""
    tidied = [tidy(cell) for cell in cells]
    wrapped = [(cell, address) for cell in tidied if "@" in cell and (address := address_within(cell))]
    if not wrapped:
        return ""
    cell, address = wrapped[0]
    what = "mailto: before the address" if cell.lower().startswith("mailto:") else "more than the address"
    return (
        f"“{shown(visible(header.strip()))}” has {what} in its cells (“{shown(visible(cell))}”). Export only the "
        f"address, as {address}, or fix the cells."
    )


def holds_names(cells: Sequence[str]) -> bool:
    """Return whether these cells of a manager or coach are names, which find no user; not addresses or numbers.

    Error values and formulas of a spreadsheet do not count.
    """
    filled = [cell for cell in map(tidy, cells) if cell and not is_error(cell) and not is_formula(cell)]
    named = sum(
        "@" not in cell and not any(letter.isdigit() for letter in cell) and any(letter.isalpha() for letter in cell)
        for cell in filled
    )
    return bool(filled) and named >= MOSTLY * len(filled)
