"""Propose a `value_mapping` for the words of a column that accepts only some, and list the words to complete.  Pure.

A word is mapped if its meaning is known. A word that may deactivate an employed user, keep a leaver active or give
rights is mapped only if its meaning is certain; if it is not, a person must decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ground.words import counted
from importer.advice.states import Meant, flag_of, state_of
from importer.file.header import fold
from importer.file.letters import visible
from importer.model import shown
from importer.nearest import is_misspelled
from importer.rules.cells import LANGUAGES, ROLES, Doubtful, Invalid
from importer.rules.custom import CustomField
from importer.rules.languages import languages_meant
from importer.rules.meanings import columns_under, tidy
from importer.rules.nonvalues import FREE, is_error, is_formula, means_no_value
from importer.rules.settings import ImportSettings
from importer.rules.timezones import check_time_zone

MOST_WORDS = 100
"""The most different words of a column that are listed. A column with more is not a list of states."""


def _set(words: str) -> frozenset[str]:
    return frozenset(map(_plain, words.split()))


def _plain(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text).lower().replace("\u0142", "l").replace("\u00df", "ss")
    return "".join(letter for letter in apart if letter.isalnum())


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a column and its meaning to Headcount, `ours`: `""` is a blank cell, None is left to a person."""

    text: str
    times: int
    ours: str | None
    certain: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """The words that a column does not accept as they are, most frequent first."""

    name: str
    words: tuple[Word, ...] = ()
    more: int = 0
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def mapping(self) -> dict[str, str]:
        """The `value_mapping` of the field: what the settings have, and the words whose meaning is known."""
        return {**self.known, **{word.text: word.ours for word in self.words if word.ours is not None}}

    @property
    def open(self) -> tuple[str, ...]:
        """The words that a person must give a meaning."""
        return tuple(word.text for word in self.words if word.ours is None)


Meaning = tuple[str | None, bool, str]
"""The meaning of a word, whether it is certain, and a note."""

OPEN: Meaning = (None, False, "")


def proposed_words(name: str, cells: Sequence[str], settings: ImportSettings) -> Words:
    """Return the meanings of the words among `cells` that the field `name` does not accept already."""
    known = settings.value_mapping.get(name, {})
    folded = {fold(word) for word in known}
    columns = columns_under(settings)
    if name not in columns or name in settings.names.required or name in ("email", settings.identifier):
        return Words(name, known=known)  # such values identify users, or are required
    texts = Counter(text for text in map(tidy, cells) if text)
    spelt: dict[str, str] = {}
    times: Counter[str] = Counter()
    for text, count in texts.items():
        times[spelt.setdefault(fold(text), text)] += count
    closed = _is_closed(name, settings)
    refused = {
        text: count
        for text, count in times.items()
        if _is_refused(columns[name].judge(text)) or (not closed and fold(text) not in folded and _says_nothing(text))
    }
    meaning = _meaning(name, frozenset(spelt), len(cells) - texts.total(), settings)
    words = [Word(text, count, *meaning(text)) for text, count in refused.items()]
    words = [word for word in words if word.ours is not None or closed]
    words.sort(key=lambda word: -word.times)
    return Words(name, tuple(words[:MOST_WORDS]), max(0, len(words) - MOST_WORDS), known)


def _says_nothing(text: str) -> bool:
    return means_no_value(text) or _plain(text) in _NONE


def _is_refused(found: object) -> bool:
    return isinstance(found, Invalid) or (isinstance(found, Doubtful) and found.code == "placeholder")


def _own(name: str, settings: ImportSettings) -> CustomField | None:
    return next((each for each in settings.custom_fields if each.key == name), None)


def _is_closed(name: str, settings: ImportSettings) -> bool:
    own = _own(name, settings)
    return own.type in ("boolean", "choice") if own else name in _CLOSED


def _meaning(name: str, all_words: frozenset[str], blanks: int, settings: ImportSettings) -> Callable[[str], Meaning]:
    """Return a function that finds the meaning of a word of this column; `all_words` are its words, folded."""
    own = _own(name, settings)
    if own:
        kinds = {"boolean": partial(_boolean, blanks=blanks, all_words=all_words), "choice": partial(_choice, own)}
        return kinds.get(own.type, partial(_nothing, free=own.type == "text"))
    if name in ("deactivate", "active"):
        return partial(_leaver, name, all_words, blanks)
    return {
        "role": _role,
        "language": _language,
        "time_zone": _time_zone,
        "manager": _nothing,
        "coach": _nothing,
    }.get(name, partial(_nothing, free=name in FREE))


# Leavers.


def _leaver(name: str, all_words: frozenset[str], blanks: int, text: str) -> Meaning:
    """Return the meaning of a word that tells who has left; for `active` it is reversed."""
    if text.lower() in _DATABASE_NULLS and name == "deactivate":
        return "", True, ""
    left, stays = ("yes", "no") if name == "deactivate" else ("no", "yes")
    flag = flag_of(text, all_words, blanks)
    if flag is not None:
        return ("yes" if flag else "no"), True, ""
    meant, note = state_of(text, all_words)
    if meant is Meant.OPEN:
        return None, False, note
    return (left if meant is Meant.LEFT else stays), True, note


# Custom fields.


def _boolean(text: str, *, blanks: int, all_words: frozenset[str]) -> Meaning:
    flag = flag_of(text, all_words, blanks)
    if flag is not None:
        return ("yes" if flag else "no"), True, ""
    return _nothing(text)


def _choice(own: CustomField, text: str) -> Meaning:
    plain = _plain(text)
    same = [choice for choice in own.choices if _plain(choice) == plain]
    if len(same) == 1:
        return same[0], True, ""
    near = [choice for choice in own.choices if is_misspelled(text.lower(), choice.lower())]
    return (near[0], False, "") if len(near) == 1 else _nothing(text)


# Roles, languages, time zones.

_CLOSED = frozenset({"role", "language", "time_zone", "deactivate", "active"})
_LEARNERS = _set(
    "learners learner employee employees user users enduser standarduser basicuser normaluser staff student"
    " students trainee participant member teammember individualcontributor worker associate none"
    " mitarbeiter mitarbeiterin mitarbeitende lernende lernender lerner benutzer nutzer teilnehmer"
    " employe apprenant apprenants utilisateur salarie collaborateur"
    " empleado empleada usuario alumno aprendiz colaborador estudiante"
    " dipendente utente studente collaboratore discente medewerker gebruiker cursist deelnemer lerende"
    " funcionario aluno aprendizado pracownik uzytkownik uczestnik uczen"
    " 学習者 社員 従業員 一般 ユーザー 一般ユーザー 受講者"
    " 学员 员工 用户 普通用户 學員 員工 موظف متعلم مستخدم"
)
_RIGHTS = "This word may give rights. Choose one of: {roles}."


def _role(text: str) -> Meaning:
    plain = _plain(text)
    same = [role for role in ROLES if plain in (_plain(role), f"{_plain(role)}s")]
    if same:
        return same[0], True, ""
    if plain in _LEARNERS:
        return "learner", False, "It is the role with the fewest rights."
    if means_no_value(text):
        return "", False, "A blank cell means learner."
    return None, False, _RIGHTS.format(roles=", ".join(ROLES))


def _language(text: str) -> Meaning:
    if means_no_value(text):
        return "", True, ""
    meant = languages_meant(text)
    if len(meant) != 1:
        return None, False, f"It may be {' or '.join(meant)}." if meant else ""
    base = meant[0].split("-")[0]
    only = meant[0] != base and sum(code.split("-")[0] == base for code in LANGUAGES) == 1
    named = _plain(text).endswith(_COUNTRIES.get(meant[0], ()))
    return meant[0], not only or named, "" if not only or named else "It is the only one of this language."


_COUNTRIES = {"es-CO": ("co", "col", "colombia"), "pt-BR": ("br", "bra", "brasil", "brazil", "brasilien")}

_PREFIX = re.compile(r"\s*[(\[](?:gmt|utc)[^)\]]*[)\]]\s*(?=\S)", re.IGNORECASE)


def _time_zone(text: str) -> Meaning:
    if means_no_value(text):
        return "", True, ""
    bare = _PREFIX.sub("", text, count=1)
    for part, certain in ((bare, True), *((city, False) for city in bare.split(","))):
        zone = check_time_zone(part.strip()) if part.strip() != text else None
        if isinstance(zone, str):
            return zone, certain, ""
    return OPEN


# Blank words.

_DATABASE_NULLS = frozenset({"null", "\\n", "(null)", "<null>", "(blank)", "nan"})
_NONE = _set(
    "nomgr nohr nomanager notapplicable notassigned unassigned nodata novalue empty blank keine keiner keinangabe"
    " keineangabe nichtzutreffend nichtzugeordnet entfallt leer aucun aucune neant sansobjet nonrenseigne vide"
    " ninguno ninguna noaplica sindatos vacio nessuno nessuna nonapplicabile nonassegnato"
    " geen nvt niettoegewezen leeg nenhum"
    " nenhuma naoseaplica naoinformado vazio brak niedotyczy nieprzypisano"
    " なし 無し 該当なし 未設定 无 無 不适用 未分配"
    " لايوجد غيرمحدد لاينطبق"
)
"""Words for "nothing" that `means_no_value` does not know, as `_plain` returns them."""


def _nothing(text: str, *, free: bool = False) -> Meaning:
    """Return the meaning of a word for "nothing": a blank cell. `free`: the column accepts any text."""
    if is_error(text) or is_formula(text):
        return OPEN
    if means_no_value(text):
        return "", not (free and text.lower() in ("none", "nan")), ""
    return ("", not free, "") if _plain(text) in _NONE else OPEN


def sentences_of(found: Words) -> list[str]:
    """Return the sentences about the words of a column: the guesses, and the words that a person must add."""
    guessed = [word for word in found.words if word.ours is not None and not word.certain]
    said = [
        f"“{_seen(word.text)}” is read as {word.ours or 'a blank cell'} for {found.name}. This is a guess: check it."
        for word in guessed
    ]
    said += [
        f"“{_seen(word.text)}” ({counted(word.times, 'cell', 'cells')}) "
        f"has no meaning for {found.name} yet. "
        f"Add it to value_mapping.{f' {word.note}' if word.note else ''}"
        for word in found.words
        if word.ours is None
    ]
    if found.more:
        said.append(f"{found.name} has {found.more:,} more such words. Check that it is the right column.")
    return said


def _seen(text: str) -> str:
    return shown(visible(text))
