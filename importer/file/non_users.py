"""Recognize rows that are not users: totals, end marks, counts and repeated headers. Pure.

A row counts as one only if each filled cell is a word of such rows, a number, or a repeated header. A row with any
other text may be a user whose identifier is blank. It must stay one: then no absent user is deactivated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from importer.errors import FileError
from importer.file.header import OFTEN_MEANT, REQUIRED, Header, heading
from importer.file.letters import visible
from importer.model import Problem, Severity, shown


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNMISTAKABLE = _set(
    "total totals totale totales totali gesamt gesamtsumme gesamtzahl gesamtanzahl insgesamt zwischensumme endsumme"
    " subtotal subtotals grandtotal soustotal subtotale razem ogolem lacznie totaal subtotaal eindtotaal yhteensa"
    " celkem spolu osszesen toplam ukupno skupaj eof endoffile endofreport endofdata endoflist dateiende endofjob"
    " trailer trlr итого всего разом"
    " συνολο 合計 总计 合计 總計 합계"
)
"""Words of totals and end marks that are neither a person's name nor the beginning of one."""

_LIKELY = _set(
    "summe sum sums somme suma sumas somma summa summan end ende fin fine fim final koniec einde slut loppu finito"
    " trl tlr footer ftr fusszeile"
)
"""Such words that are also names: they count only alone or beside a number."""

_COUNTED = _set(
    "count counts rowcount recordcount number numero nombre nombres anzahl zahl liczba aantal antal cantidad quantita"
    " quantity quantite row rows record records zeile zeilen datensatz datensatze saetze datensaetze line lines ligne"
    " lignes enregistrement enregistrements fila filas registro registros riga righe rekord rekordy rekordow wiersz"
    " wiersze wierszy rij rijen regel regels linha linhas rad rader post poster entry entries eintrag eintrage"
    " eintraege item items employee employees user users person persons people member members worker workers"
    " headcount staff"
    " mitarbeiter mitarbeitende mitarbeiterinnen beschaftigte beschaeftigte personen benutzer salarie salaries"
    " employe employes utilisateur utilisateurs empleado empleados persona personas usuarios dipendente"
    " dipendenti utenti"
    " medewerker medewerkers pracownik pracownicy pracownikow osoby osob report export generated erstellt"
    " printed page seite"
)
_BETWEEN = _set(
    "of the in a and de des du la le les el los di del della dei der die das von van per for is are no nr num file"
    " data datei list liste lista table fichier archivo selected affected returned exported processed found grand"
    " sub all"
    " tabelle raport rapport bericht plik elenco general generale generales"
    " alle active aktive control hash lp ilosc w i y et und s on at am um uhr date datum by pm utc created"
)
_KNOWN = _UNMISTAKABLE | _LIKELY | _COUNTED | _BETWEEN
_LISTS = _set(
    "file data list liste lista report export fichier archivo datei table tabelle raport rapport bericht plik elenco"
)
_TRAILER = re.compile(r"(?:T|Z|F|TR|TRL|TRLR|TLR|FTR|EOF|99(?=[|;,]))[\s|;,:#~^-]+0*\d[\d.,]*", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_]+")
_MOST_WORDS = 8
_RULER = "\x1a \t*-=_.#<>/+~"

_LABELS = {
    "email": "email emailaddress mail emailadresse mailadresse courriel adressemail adresseemail correo"
    " correoelectronico indirizzoemail epost workemail businessemail emailid mailid",
    "first_name": "firstname givenname forename vorname prenom nombre nome voornaam imie fornamn",
    "last_name": "lastname surname familyname nachname familienname nom apellido apellidos cognome achternaam"
    " nazwisko efternamn",
}
_LABEL_OF = {word: name for name, words in _LABELS.items() for word in words.split()}


_OFTEN_MEANT = {word.replace("_", ""): name for word, name in OFTEN_MEANT.items()}


def why_not_a_user(line: int, cells: Sequence[str], header: Header, raw: str) -> Problem | None:
    """Return the error for a rejected row that is not a user; None if it may be one.

    Raises FileError if it is a header with other columns: the rows below it would be read into the wrong fields.
    """
    if is_another_header(line, cells, header):
        raise FileError(
            "second_header",
            f"Line {line} is a header with other columns than the first one: the file has two lists. Move the rows "
            f"below line {line} under the columns of the first header, and delete line {line}.",
            line=line,
            value=shown(visible(raw)),
        )
    if is_header_again(cells, header):
        what = "This row repeats the header." if line > 2 else "This row labels the columns and names no user."
        do = "Delete it."
    elif looks_like_footer(cells):
        what = "This row looks like a total, a count or the end of the list, not like a user."
        do = "Remove it. If your system always writes it as the last line, set skip_last_lines."
    else:
        return None
    message = f"{what} It was rejected and has no effect on other rows. {do}"
    return Problem(Severity.ERROR, "not_a_person", message, line, None, shown(visible(raw)))


def looks_like_footer(cells: Sequence[str]) -> bool:
    """Return whether each filled cell is a word of totals, end marks or counts, or a number beside one."""
    filled = [(at, cell.strip()) for at, cell in enumerate(cells) if cell.strip()]
    text = " ".join(cell for _, cell in filled)
    if not text.strip(_RULER):
        return bool(filled)  # only an end mark or a separating line
    if "@" in text or len(text) > 200:
        return False
    if filled[-1][0] - filled[0][0] == len(filled) - 1 <= 1 and _TRAILER.fullmatch(text):
        return True
    words = _words(text)
    if not words or len(words) > _MOST_WORDS:
        return False
    if not all(word in _KNOWN for word in words):
        return "".join(words) in _UNMISTAKABLE
    if _is_unmistakable(words):
        return True
    lettered = [at for at, cell in filled if _words(cell)]
    if len(lettered) > 1:
        return False  # perhaps two names
    is_counted = any(word in _LIKELY | _COUNTED for word in words)
    if len(filled) == 1 and words[0] in _LIKELY and words[-1] in _LISTS:
        return True  # such as “end of file”
    beside = {at for at, cell in filled if _has_digit(cell)} & {lettered[0], lettered[0] + 1}
    return (is_counted and bool(beside)) or (len(filled) == len(words) == 1 and words[0] in _LIKELY)


def surely_a_footer(cells: Sequence[str]) -> bool:
    """Return whether a last line that may be cut off is surely a footer, not the beginning of a row."""
    text = " ".join(cells)
    words = _words(text)
    return looks_like_footer(cells) and (_has_digit(text) or not words or _is_unmistakable(words))


def _is_unmistakable(words: Sequence[str]) -> bool:
    return "".join(words) in _UNMISTAKABLE or any(word in _UNMISTAKABLE for word in words)


def _words(text: str) -> list[str]:
    return [plain(word) for word in _WORDS.findall(text)]


def is_header_again(cells: Sequence[str], header: Header) -> bool:
    """Return whether the row repeats the header, or labels its columns."""
    filled = [(at, cell) for at, cell in enumerate(cells) if cell.strip()]
    if not filled or any("@" in cell or _has_digit(cell) for _, cell in filled if cell not in header.raw):
        return False
    same = sum(_is_label(cell, at, header) for at, cell in filled)
    return same >= 2 and same * 2 >= len(filled)


def is_another_header(line: int, cells: Sequence[str], header: Header) -> bool:
    """Return whether the row names all required columns but is not the header: other columns, or another order.

    Right below the header, another name may be a label.
    """
    fields = _fields(header)
    names = [heading(cell) for cell in cells]
    if not {fields.get(name) for name in names}.issuperset(REQUIRED):
        return False
    return any(
        fields.get(name, "") != column and (name in fields or line > 2)
        for name, column in zip_longest(names, header.columns, fillvalue="")
    )


@lru_cache(maxsize=8)
def _fields(header: Header) -> dict[str, str]:
    named = {heading(raw): column for raw, column in zip(header.raw, header.columns, strict=True) if raw.strip()}
    return {**{column: column for column in header.columns if column}, **named}


def _is_label(cell: str, at: int, header: Header) -> bool:
    if at >= len(header.raw):
        return False
    word, column = plain(cell), header.columns[at]
    if not word or word in _names_at(header)[at]:
        return bool(word)
    return bool(column) and (_LABEL_OF.get(word) == column or _OFTEN_MEANT.get(word) == column)


@lru_cache(maxsize=8)
def _names_at(header: Header) -> tuple[set[str], ...]:
    return tuple({plain(raw), plain(column)} for raw, column in zip(header.raw, header.columns, strict=True))


def plain(text: str) -> str:
    """Return the letters of `text` without accents, in lower case."""
    if text.isascii():
        return text.lower() if text.isalpha() else "".join(filter(str.isalpha, text.lower()))
    apart = unicodedata.normalize("NFKD", text.casefold()).replace("\u0142", "l")
    return "".join(letter for letter in apart if letter.isalpha())


def _has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)
