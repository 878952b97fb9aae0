"""Read cells of columns that show which users have left but that no setting reads. Pure.

Only for warnings and proposals, never to deactivate a user. The words are grouped by how certain they are, and cover
the languages of common files. Dates are read in every usual form; of two possible days, the later counts.
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


def _words(words: str) -> frozenset[str]:
    """Return the words, in any script, as `letters_of` returns them."""
    return frozenset(map(letters_of, words.split()))


TRUE_WORDS = _words(
    "1 true t yes y x on ja j wahr oui o vrai si s verdadero vero sim verdadeiro waar tak prawda はい 是 نعم"
    " 有 真 صح verdadeira 対 对 對"
)
FALSE_WORDS = _words(
    "0 false f no n off nein falsch non faux falso nao nee onwaar nie falsz いいえ 否 لا 無 偽 不是 خطأ"
)

# The words of a status, joined, each in the set of its certainty. Warnings use all of them.

SURELY_LEFT = _words(
    "terminated termed termd leaver left exited departed separated exemployee formeremployee former"
    " offboarded gone nolongeremployed notemployed deceased retired laidoff contractended employmentended"
    " terminatedvoluntary ausgeschieden ausgetreten ehemalig ehemaliger ehemalige verrentet pensioniert"
    " verstorben beschaftigungbeendet vertragbeendet sorti sortie parti partie ancien ancienne"
    " anciensalarie retraite decede quitte contrattermine dadodebaja cesado cesada exempleado exempleada"
    " desvinculado desvinculada jubilado jubilada fallecido cessato cessata exdipendente pensionato"
    " pensionata rapportocessato uitdienst vertrokken oudmedewerker exmedewerker gepensioneerd desligado"
    " desligada demitido demitida exfuncionario aposentado aposentada zwolniony zwolniona bylypracownik"
    " odszedl odeszla nieprzacuje"
    " 退職 退職済 退職済み 退社 離職 离职 已离职 已離職 退休 已退休 متقاعد منتهيالخدمة تركالعمل"
)
"""Left, whatever other words the column has."""

LEFT_IF_NO_CLEARER = _words(
    "inactive inaktiv nichtaktiv inactif nonactif inactivo inactiva inattivo inattiva nonattivo inactief"
    " nietactief inativo inativa nieaktywny nieaktywna notactive nonactive disabled deactivated"
    " deaktiviert desactive 無効 停用 غيرنشط"
)
"""Left, if the column has no clearer word for it; otherwise it may mean a leave."""

PERHAPS_LEFT = _words(
    "term resigned dismissed fired deleted removed archived ended unemployed redundant released entlassen"
    " beendet geloscht desactivee demissionne licencie licenciee termine baja debaja cese despedido"
    " despedida terminado terminada retirado retirada desactivado desactivada dimesso dimessa"
    " dimissionario licenziato licenziata uscito uscita terminato disattivato disattivata ontslagen"
    " uitgeschreven beeindigd gedeactiveerd nietindienst saiu desativado desativada encerrado rescindido"
    " nieaktywne byly byla zakonczony zakonczona wylaczony"
)
"""Left in most systems: enough for a warning, but an owner decides what it means for `deactivate`."""

SURELY_STAYS = _words(
    "active activeemployee currentemployee current employed working onboarding probation permanent"
    " onleave loa leaveofabsence leaveofabsense paidleave unpaidleave maternityleave paternityleave"
    " parentalleave medicalleave sickleave familyleave militaryleave personalleave studyleave"
    " longtermleave activeonleave sabbatical furlough furloughed prehire notterminated activeloa"
    " leavewithpay leavewithoutpay gardenleave gardeningleave ongardenleave noticeperiod onnotice undernotice"
    " servingnotice freigestellt freistellung kundigungsfrist inkundigungsfrist preavis enpreavis preaviso"
    " enpreaviso opzegtermijn inopzegtermijn preavviso inpreavviso avisoprevio"
    " aktiv angestellt beschaftigt aktivbeschaftigt inelternzeit elternzeit"
    " mutterschutz beurlaubt inprobezeit probezeit langzeitkrank sonderurlaub actif enposte encontrat"
    " enconge congeparental congematernite congemaladie congesansolde arretmaladie activo activa enactivo"
    " alta dadodealta depermiso enlicencia bajamedica bajapormaternidad bajamaternal bajaporenfermedad"
    " excedencia incapacidad attivo attiva inforza inservizio inaspettativa aspettativa maternita"
    " congedoparentale actief indienst metverlof zwangerschapsverlof ouderschapsverlof ativo ativa"
    " emferias ferias delicenca licencamaternidade afastado afastada aktywny aktywna zatrudniony"
    " zatrudniona urlopmacierzynski urlopwychowawczy naurlopie"
    " 在籍 在籍中 在職 在職中 有効 休職 休職中 育休 育児休業 産休 在职 在岗 休假"
    " 产假 试用期 正式 نشط علىرأسالعمل فيإجازة إجازة"
)
"""Not left: active, on leave, or leaving on a later day."""

LEAVE = _words("leave conge licencia permiso licenca congedo verlof urlop abwesend absent")
"""On leave, if the column has another word for left; otherwise it may mean left."""

PERHAPS_STAYS = _words(
    "activated enabled hired regular temporary fulltime parttime maternity krank present presente"
    " vacaciones assunto ziek 休职"
)
"""Not left in most systems."""

LEFT_WORDS = SURELY_LEFT | LEFT_IF_NO_CLEARER | PERHAPS_LEFT
STAYS_WORDS = SURELY_STAYS | LEAVE | PERHAPS_STAYS

_NOT_ALONE = _words("left term gone ended partie sortie retraite baja cese uscita termine termed x")
"""Words that have another meaning if other words follow."""

_INACTIVE = _words("inactive inaktiv inactif inactivo inactiva inattivo inattiva inactief inativo inativa nieaktywny")
_AWAY = _words(
    "leave loa maternity paternity parental sabbatical furlough furloughed sick illness military"
    " beurlaubt elternzeit mutterschutz krank conge maternite permiso licencia maternidad excedencia"
    " aspettativa congedo malattia maternita verlof ziek zwangerschapsverlof ferias licenca afastado urlop"
)
"""Words by which an inactive user is on leave."""

_NOT_YET = _words("pending serving scheduled planned future upcoming notice")
"""Words by which the last day of a resigned user may be in the future."""

_TIME = r"(?:[T ,]+\d{1,2}[:.]\d{2}.*)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/. 年](\d{{1,2}})[-/. 月](\d{{1,2}})[.日]?{_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/. ] ?(\d{{1,2}})[-/. ] ?(\d{{4}}|\d{{2}}){_TIME}")
_DIGITS = re.compile(rf"((?:19|20)\d{{2}})(\d{{2}})(\d{{2}}){_TIME}")
_SERIAL = re.compile(r"(\d{5})(?:\.\d+)?")
_EXCEL_BEGINS = date(1899, 12, 30)
_OLDEST, _NEWEST = "1950-01-01", 2100
"""Systems write days outside this range for “no day”: 1900-01-01, 9999-12-31."""
_DAY_0 = "1970-01-01"
"""The first day of Unix time; systems write it for “no day” too."""


class Says(Enum):
    """The meaning of a cell."""

    NOTHING = auto()
    LEFT = auto()
    AHEAD = auto()  # a last day that is not over
    STAYS = auto()


@dataclass(frozen=True, slots=True)
class Said:
    """The meaning of a cell, and the last day in it as YYYY-MM-DD; None if it has none."""

    says: Says
    day: str | None = None


NOTHING, LEFT, STAYS = Said(Says.NOTHING), Said(Says.LEFT), Said(Says.STAYS)


def said_by(tells: Tells, cell: str, past: str, date_format: str) -> Said:
    """Return the meaning of `cell` in a column of the kind `tells`. Last days before `past` are over."""
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
    """Read a word of LEFT_WORDS with `others` after it: `Inactive - Maternity Leave`, `Resigned (notice)`."""
    if word in _INACTIVE and others & _AWAY:
        return STAYS
    return NOTHING if others & _NOT_YET and not others & {"without", "no"} else LEFT


def last_day_in(cell: str, date_format: str) -> str | None:
    """Return the day in `cell` as YYYY-MM-DD, the later of two possible ones; None if it has none."""
    text = cell.strip()
    if len(text) > 40 or not any(letter.isdigit() for letter in text):
        return None
    found = check_date(text, date_format)
    days = [date.fromisoformat(found)] if isinstance(found, str) else list(_readings(text)) or _in_any_form(text)
    latest = max(days, default=None)
    if not latest or latest.year >= _NEWEST or means_no_day(latest.isoformat()):
        return None
    return latest.isoformat()


def means_no_day(day: str) -> bool:
    """Return whether systems write this day (YYYY-MM-DD) for “no day”. Days far in the future do no harm."""
    return day < _OLDEST or day == _DAY_0


def _in_any_form(text: str) -> list[date]:
    """Return the days in forms that `_readings` does not know. No year of two digits: it may be any year."""
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
    """Yield the day in a text such as `31-Dec-2022`, `December 31, 2022` or `31 de diciembre de 2022`.

    A time after it is ignored.
    """
    named = next((at for at, word in enumerate(words) if word in MONTH), None)
    numbers = [re.sub("(st|nd|rd|th)$", "", word) for word in words if word[0].isdigit()][:2]
    if named is None or len(numbers) < 2 or not all(number.isdigit() for number in numbers):
        return
    day, year = numbers if len(numbers[0]) <= 2 else reversed(numbers)
    yield from _real(year, str(MONTH[words[named]]), day)


def _real(year: str, month: str, day: str) -> Iterator[date]:
    number = int(year)
    if year == "99":
        return  # short for 9999
    if len(year) == 2:
        number += 2000 if number < 69 else 1900
    try:
        yield date(number, int(month), int(day))
    except ValueError:
        return
