"""What a cell of a column that tells who has left says, though no setting reads the column: for warnings and
proposals, never to deactivate a user.  Pure.

Dates are read in every usual form, words in the languages that files are in. Of a date that can be read in two ways
the later day counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto

from importer.file.leavers import Tells, letters_of, words_of
from importer.rules.cells import check_date
from importer.rules.dates import forms_of
from importer.rules.dayforms import read_day
from importer.rules.months import MONTH


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _letters(words: str) -> frozenset[str]:
    return frozenset(map(letters_of, words.split()))


TRUE_WORDS = _set(
    "1 true t yes y x on ja j wahr oui o vrai si s verdadero vero sim verdadeiro waar tak prawda はい 是 نعم"
)
FALSE_WORDS = _set("0 false f no n off nein falsch non faux falso nao nee onwaar nie falsz いいえ 否 لا")

LEFT_WORDS = _set(
    "terminated term termd termed inactive left leaver gone departed exited resigned retired"
    " separated dismissed fired"
    " former formeremployee exemployee exited deactivated disabled deleted removed archived"
    " offboarded ended notactive"
    " nonactive nolongeremployed notemployed unemployed deceased laidoff redundant contractended released"
    " ausgeschieden ausgetreten inaktiv nichtaktiv deaktiviert ehemalig ehemaliger ehemalige entlassen pensioniert"
    " verrentet beendet geloscht verstorben"
    " parti partie sorti sortie inactif desactive desactivee demissionne licencie licenciee retraite quitte termine"
    " ancien ancienne nonactif decede"
    " baja debaja dadodebaja inactivo inactiva cesado cesada cese despedido despedida terminado terminada retirado"
    " retirada jubilado jubilada desvinculado desvinculada exempleado desactivado desactivada fallecido"
    " cessato cessata inattivo inattiva dimesso dimessa dimissionario licenziato licenziata uscito uscita terminato"
    " pensionato pensionata disattivato disattivata nonattivo exdipendente"
    " uitdienst vertrokken inactief ontslagen uitgeschreven beeindigd exmedewerker gedeactiveerd nietactief"
    " gepensioneerd nietindienst"
    " inativo inativa desligado desligada demitido demitida saiu desativado desativada encerrado rescindido"
    " exfuncionario"
    " nieaktywny nieaktywna nieaktywne zwolniony zwolniona odszedl odeszla byly byla zakonczony"
    " zakonczona wylaczony"
    " 退職 退職済 退職済み 退社 離職 离职 已离职 已離職"
)
"""What a status says of who has left, as `words_of` joins it."""

STAYS_WORDS = _set(
    "active activated enabled employed current working hired regular permanent temporary fulltime"
    " parttime probation"
    " leave onleave loa leaveofabsence paidleave unpaidleave maternityleave parentalleave maternity sabbatical"
    " aktiv beschaftigt angestellt beurlaubt elternzeit mutterschutz probezeit krank"
    " actif active enposte conge enconge present presente"
    " activo activa alta permiso vacaciones"
    " attivo attiva inforza assunto aspettativa congedo"
    " actief indienst verlof ziek"
    " ativo ativa ferias licenca afastado"
    " aktywny aktywna zatrudniony zatrudniona urlop"
    " 在職 在籍 在籍中 休職 休職中 休职 在职 在職中 休假"
)
"""What a status says of who has not left, on leave too."""

_TRUE, _FALSE = _letters("はい 有 真 是 نعم صح"), _letters("いいえ 無 偽 否 不是 لا")
_LEFT = _letters(
    "退職 退職済 退職済み 退社 離職 离职 已离职 已離職 退休 已退休 متقاعد منتهي_الخدمة غير_نشط ترك_العمل"
)
_STAYS = _letters(
    "在籍 在籍中 在職 在職中 有効 休職 休職中 育休 育児休業 産休 在职 在岗 休假 产假 试用期 正式 نشط على_رأس_العمل"
    " في_إجازة إجازة"
)
"""The same in letters of Japan, China and Arabia."""

TRUE_WORDS |= _TRUE
FALSE_WORDS |= _FALSE
LEFT_WORDS |= _LEFT
STAYS_WORDS |= _STAYS

_NOT_ALONE = _set("left term gone ended partie sortie retraite baja cese uscita termine termed x")
"""Words that mean something else at the beginning of others."""

_INACTIVE = _set("inactive inaktiv inactif inactivo inactiva inattivo inattiva inactief inativo inativa nieaktywny")
_AWAY = _set(
    "leave loa maternity paternity parental sabbatical furlough furloughed sick illness military"
    " beurlaubt elternzeit mutterschutz krank conge maternite permiso licencia maternidad excedencia"
    " aspettativa congedo malattia maternita verlof ziek zwangerschapsverlof ferias licenca afastado urlop"
)
"""Of a user who is inactive, words that say that the user comes back."""

_NOT_YET = _set("pending serving scheduled planned future upcoming notice")
"""Words by which the last day of one who has resigned may be ahead."""

_TIME = r"(?:[T ,]+\d{1,2}[:.]\d{2}.*)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/. 年](\d{{1,2}})[-/. 月](\d{{1,2}})[.日]?{_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/. ] ?(\d{{1,2}})[-/. ] ?(\d{{4}}|\d{{2}}){_TIME}")
_DIGITS = re.compile(rf"((?:19|20)\d{{2}})(\d{{2}})(\d{{2}}){_TIME}")
_SERIAL = re.compile(r"(\d{5})(?:\.\d+)?")
_EXCEL_BEGINS = date(1899, 12, 30)
_OLDEST, _NEWEST = "1950-01-01", 2100
"""Days outside are written where there is none: 1900-01-01, 9999-12-31."""
_DAY_0 = "1970-01-01"
"""The day on which computers begin to count; it is written where there is none, too."""


class Says(Enum):
    """What a cell says."""

    NOTHING = auto()
    LEFT = auto()
    AHEAD = auto()  # a last day that is not past
    STAYS = auto()


@dataclass(frozen=True, slots=True)
class Said:
    """What a cell says; the last day, as YYYY-MM-DD, where it is one."""

    says: Says
    day: str | None = None


NOTHING, LEFT, STAYS = Said(Says.NOTHING), Said(Says.LEFT), Said(Says.STAYS)


def said_by(tells: Tells, cell: str, past: str, date_format: str) -> Said:
    """Return what `cell` says in a column that `tells`. Last days before `past` are over."""
    words = words_of(cell) or [letters_of(cell)]
    if not words[0]:
        return NOTHING
    joined = "".join(words)
    if tells in (Tells.LAST_DAY, Tells.LEFT) and (day := last_day_in(cell, date_format)):
        return Said(Says.LEFT if day < past else Says.AHEAD, day)
    if tells is not Tells.STATUS and joined in TRUE_WORDS:
        return STAYS if tells is Tells.ACTIVE else LEFT
    if tells is not Tells.STATUS and joined in FALSE_WORDS:
        return LEFT if tells is Tells.ACTIVE else STAYS
    if joined in LEFT_WORDS:
        return LEFT
    if words[0] in LEFT_WORDS and words[0] not in _NOT_ALONE:
        return _with_more(words[0], set(words[1:]))
    return STAYS if joined in STAYS_WORDS else NOTHING


def _with_more(word: str, others: set[str]) -> Said:
    """What a word of LEFT_WORDS says with `others` after it: `Inactive - Maternity Leave`, `Resigned (notice)`."""
    if word in _INACTIVE and others & _AWAY:
        return STAYS
    return NOTHING if others & _NOT_YET and not others & {"without", "no"} else LEFT


def last_day_in(cell: str, date_format: str) -> str | None:
    """Return the day in `cell`, as YYYY-MM-DD; the later, where it can be read as two. None: no day to speak of."""
    text = cell.strip()
    if len(text) > 40 or not any(letter.isdigit() for letter in text):
        return None
    found = check_date(text, date_format)
    days = [date.fromisoformat(found)] if isinstance(found, str) else list(_readings(text)) or _in_any_form(text)
    latest = max(days, default=None)
    if not latest or latest.year >= _NEWEST or stands_for_none(latest.isoformat()):
        return None
    return latest.isoformat()


def stands_for_none(day: str) -> bool:
    """Whether systems write this day, as YYYY-MM-DD, where there is none; days that are far ahead do no harm."""
    return day < _OLDEST or day == _DAY_0


def _in_any_form(text: str) -> list[date]:
    """What `_readings` leaves: days with the name of a month, a fraction or a zone. Two digits may be any year."""
    forms = [form for form in forms_of(text) if "%y" not in form]
    return [date.fromisoformat(day) for form in forms if (day := read_day(text, form))]


def _readings(text: str) -> Iterator[date]:
    if found := _YEAR_FIRST.fullmatch(text) or _DIGITS.fullmatch(text):
        yield from _real(found[1], found[2], found[3])
    elif found := _YEAR_LAST.fullmatch(text):
        yield from _real(found[3], found[2], found[1])
        yield from _real(found[3], found[1], found[2])
    elif found := _SERIAL.fullmatch(text):
        yield _EXCEL_BEGINS + timedelta(days=int(found[1]))
    else:
        yield from _with_a_name(words_of(text))


def _with_a_name(words: list[str]) -> Iterator[date]:
    """`31-Dec-2022`, `December 31, 2022`, `31 de diciembre de 2022`; a time after it does not count."""
    named = next((at for at, word in enumerate(words) if word in MONTH), None)
    numbers = [re.sub("(st|nd|rd|th)$", "", word) for word in words if word[0].isdigit()][:2]
    if named is None or len(numbers) < 2 or not all(number.isdigit() for number in numbers):
        return
    day, year = numbers if len(numbers[0]) <= 2 else reversed(numbers)
    yield from _real(year, str(MONTH[words[named]]), day)


def _real(year: str, month: str, day: str) -> Iterator[date]:
    number = int(year)
    if year == "99":
        return  # of 9999
    if len(year) == 2:
        number += 2000 if number < 69 else 1900
    try:
        yield date(number, int(month), int(day))
    except ValueError:
        return
