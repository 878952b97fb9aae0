"""Recognize headers of columns that show which users have left: a last day, a flag, its opposite or a status. Pure.

A header is split into words, without accents and case. Words that only say whose column it is (employee, contract) do
not count. The rest must be a word listed here exactly, so a header that only looks similar (Leave Type, Probation End
Date, Marital Status) does not count. The lists cover the languages of common files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache


class Tells(Enum):
    """How a column shows which users have left."""

    LAST_DAY = "last_day"
    LEFT = "left"  # a flag: yes for a leaver
    ACTIVE = "active"  # a flag: yes for an active user
    STATUS = "status"  # a word


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WHOSE = _set(
    "employee employees emp worker staff user users account employment person personnel personal member job work hr"
    " contract contractual company the of is was has current actual effective flag yn y n ind indicator code s e"
    " mitarbeiter mitarbeiters arbeitnehmer benutzer konto vertrag vertrags beschaftigung"
    " beschaftigungs am der des die"
    " im ist employe employes salarie salaries collaborateur utilisateur compte contrat emploi de"
    " du des la le l d a au"
    " en est empleado empleada trabajador usuario cuenta contrato laboral empleo el los es dipendente collaboratore"
    " utente conto contratto rapporto lavoro di del della il lo e medewerker werknemer gebruiker contractueel"
    " dienstverband arbeidsovereenkomst van het in uit funcionario colaborador utilizador conta trabalho do da o"
    " pracownik pracownika uzytkownik uzytkownika konta umowy umowa pracy zatrudnienia zatrudnienie z w jest czy"
) - {"in", "uit", "en", "e"}  # fmt: skip
"""Words of a header that do not change its meaning."""

_GLUED = (
    "mitarbeiter", "beschaftigungs", "vertrags", "personal", "employee", "employment", "worker", "staff", "user",
    "account", "medewerker", "dienstverband", "emp", "is",
)  # fmt: skip
"""The same words, if joined with the next."""

_DATE = _set("date dates datum data fecha dt on since seit am le dnia dzien day tag")
"""Words that turn the others into a date."""

_END = _set(
    # English
    "end ending termination term separation exit departure leaving deactivation inactivation offboarding cessation"
    " left terminated deactivated inactive inactivated disabled offboarded exited departed"
    " separated terminate resigned"
    # German
    " austritt austritts ausscheiden ausscheidens ausgeschieden ausgetreten ende abgang abgangs endes vertragsende"
    " dienstende beschaftigungsende dienstaustritt arbeitsende deaktivierung deaktiviert"
    # French
    " sortie depart fin radiation cessation departs sorti parti desactivation"
    # Spanish
    " baja salida termino terminacion cese egreso retiro desvinculacion fin finalizacion desactivacion"
    # Italian
    " cessazione uscita fine termine licenziamento dimissione disattivazione"
    # Dutch
    " uitdienst einde eind vertrek uitdiensttreding beeindiging ontslag deactivering"
    # Portuguese
    " saida demissao desligamento rescisao fim cessacao desativacao"
    # Polish
    " zwolnienia zwolnienie zakonczenia zakonczenie odejscia odejscie rozwiazania rozwiazanie ustania konca koniec"
    " dezaktywacji"
)
"""Words for an end. With a word of _DATE, or alone, they mean the last day."""

_ENDS_ALONE = _END - _set(
    "left terminated deactivated inactive inactivated disabled offboarded exited departed separated"
    " terminate resigned"
    " ausgeschieden ausgetreten deaktiviert sorti parti end ending term fin fine fim ende eind"
    " einde termine termino"
    " deactivation inactivation konca koniec leaving zwolnienie"
)

_LAST_DAYS = _set(
    "lastday lastworkingday lastworkday lastdayworked lastworkingdate lastdateworked"
    " lastdayemployed lastdate dayleft"
    " activeuntil activeto employeduntil employedto dateleave leavedate enddt termdt leavingon endson endedon"
    " letzterarbeitstag letztertag letzterbeschaftigungstag beschaftigtbis aktivbis angestelltbis"
    " dernierjour dernierjourtravaille dernierjourtravail dernierjourtrabalho"
    " ultimodia ultimodiatrabajado ultimodiatrabajo ultimodialaborado ultimodiatrabalhado ultimodiatrabalho"
    " ultimogiorno ultimogiornolavorato laatstewerkdag laatstedag laatstedienstdag ostatnidzien"
    " ostatnidzienpracy enddate termdate einddatum enddatum vertragsende dienstende arbeitsende austritt uitdienst"
    " vigenzafine contractenddate"
)

_LEFT = _set(
    "leaver left terminated termd termed inactive inactivated notactive nonactive disabled deactivated deactivate"
    " deactivation former departed exited offboarded resigned gone deleted archived ex"
    " ausgetreten ausgeschieden inaktiv nichtaktiv deaktiviert ehemalig ehemaliger geloscht"
    " parti sorti inactif desactive ancien quitte"
    " inactivo inactiva desactivado desactivada cesado cesada debaja"
    " inattivo inattiva cessato cessata disattivato disattivata disabilitato"
    " inactief vertrokken nietactief gedeactiveerd"
    " inativo inativa desativado desativada desligado desligada demitido"
    " nieaktywny nieaktywna zwolniony zwolniona byly dezaktywowany"
)

_ACTIVE = _set(
    "active actives activated activate enabled enable activestatus statusactive currentlyactive employed current"
    " currentlyemployed stillemployed isactive currentemployee currentemployees currentstaff"
    " aktiv aktive angestellt beschaftigt imdienst aktiviert"
    " actif actifs enposte enactivite"
    " activo activa enactivo habilitado"
    " attivo attiva inforza abilitato"
    " actief indienst geactiveerd"
    " ativo ativa"
    " aktywny aktywna zatrudniony zatrudniona"
)

_STATUS = _set(
    "status state statut etat estado estatus situacion situacao situation situazione stato zustand"
    " stan lifecyclestate"
    " lifecyclestatus statuspracy toestand statustype positionstatus assignmentstatus"
)

_IN_OTHER_LETTERS = {
    Tells.LAST_DAY: "退職日 退社日 退職年月日 離職日 最終出勤日 離職日期 离职日期 离职时间 最后工作日"
    " تاريخ_انتهاء_الخدمة تاريخ_ترك_العمل تاريخ_نهاية_الخدمة آخر_يوم_عمل",
    Tells.LEFT: "退職済 退職済み 離職 离职 已离职 已離職",
    Tells.ACTIVE: "在籍 在籍中 在職 在職中 在职 نشط",
    Tells.STATUS: "在籍状況 在籍区分 在職状況 雇用状態 雇用ステータス ステータス 状態 在職状態 在职状态"
    " 员工状态 人员状态 状态 在職狀態 狀態 الحالة حالة_الموظف الحالة_الوظيفية حالة_التوظيف",
}
"""Whole headers in Japanese, Chinese and Arabic; `_` is a space."""

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
_OTHER_WORD = re.compile(r"[^\W_]+")


_OTHER_LETTERS = {
    # Japanese, Chinese in both scripts, Arabic
    Tells.LAST_DAY: _set(
        "退職日 退職年月日 退社日 離職日 最終出勤日 离职日期 离职时间 离职日 最后工作日 離職日期 離職時間 最後工作日"
        " تاريخانتهاءالخدمة تاريخنهايةالخدمة تاريختركالعمل تاريخالمغادرة"
    ),
    Tells.STATUS: _set(
        "在籍状況 在職状況 在籍区分 雇用状況 在职状态 员工状态 人员状态 状态"
        " 在職狀態 員工狀態 人員狀態 狀態 الحالة حالةالموظف"
    ),
}
"""Headers without a Latin letter, as `words_of` joins them."""

_LENGTHS = _set("term")
"""Words of _END that mean a length beside a word of _WHOSE: Contract Term."""

_NOT_MEANT = ({"end", "user"}, {"baja", "laboral"})
"""Words with another meaning together: an end user, a sick leave."""


def tells_beside(headers: Sequence[str]) -> list[Tells | None]:
    """Return, for each column of a file, how it shows which users have left; None if it does not.

    A column Left beside a column Right means a side.
    """
    sides = {"left", "right"} <= {header.strip().lower() for header in headers}
    return [None if sides and header.strip().lower() == "left" else _tells(header) for header in headers]


_ACCOUNTS = _set("account login konto compte cuenta conto conta")


def is_of_an_account(header: str) -> bool:
    """Return whether a column is about an account.

    An account may be disabled during a leave, and enabled after the last day.
    """
    return bool(_ACCOUNTS & set(words_of(header)))


@lru_cache(maxsize=1024)
def _tells(header: str) -> Tells | None:
    """Return how a column with this header shows which users have left; None if it does not."""
    words = words_of(header)
    if whole := _OTHERS.get(letters_of(header)):
        return whole
    if not words or len(words) > 8:
        return None
    if any(together <= set(words) for together in _NOT_MEANT):
        return None
    plain = [word for word in words if word not in _WHOSE]
    if header.isascii() and "".join(plain) in ("depart", "departs"):
        return None  # a department
    found = _meant(words) or _meant(plain) or _glued(words)
    if found is None and len(plain) < len(words) and "".join(plain) in _END - _LENGTHS:
        return Tells.LAST_DAY  # such as Contract End
    if found is None and words[0] in _STATUS and all(word in _ACTIVE or word in _LEFT for word in words[1:]):
        return Tells.STATUS  # such as Status (active/inactive)
    return found


def words_of(text: str) -> list[str]:
    """Return the words of `text`, without accents and in lower case; `endDate` is two words.

    Words in other scripts count only if none is Latin.
    """
    apart = unicodedata.normalize("NFKD", _CAMEL.sub(" ", unicodedata.normalize("NFC", text))).lower()
    plain = _without_marks(apart)
    return _WORD.findall(plain) or _OTHER_WORD.findall(plain)


def letters_of(text: str) -> str:
    """Return the letters and digits of `text` in any script, without accents and in lower case."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text).lower() if letter.isalnum())


_OTHERS = {letters_of(name): found for found, names in _IN_OTHER_LETTERS.items() for name in names.split()}


def _without_marks(text: str) -> str:
    plain = text.replace("\u0142", "l").replace("\u00df", "ss")
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _meant(words: list[str]) -> Tells | None:
    joined = "".join(words)
    if not joined.isascii():
        return next((found for found, headers in _OTHER_LETTERS.items() if joined in headers), None)
    if joined in _LEFT:
        return Tells.LEFT
    if joined in _ACTIVE:
        return Tells.ACTIVE
    if joined in _STATUS:
        return Tells.STATUS
    if joined in _LAST_DAYS or joined in _ENDS_ALONE or _is_date_of(words, joined):
        return Tells.LAST_DAY
    return None


def _is_date_of(words: list[str], joined: str) -> bool:
    """Return whether the words are only one for a day and one for an end: `Date Left`, `Austrittsdatum`."""
    rest = "".join(word for word in words if word not in _DATE)
    if rest != joined and rest in _END:
        return True
    for day in ("datum", "date", "data", "fecha"):
        for part in (joined.removesuffix(day), joined.removeprefix(day)):
            if part != joined and (part in _END or part.removesuffix("s") in _END):
                return True
    return False


def _glued(words: list[str]) -> Tells | None:
    """Do the same for joined words: `employeestatus`, `isactive`."""
    joined = "".join(words)
    for whose in _GLUED:
        rest = joined.removeprefix(whose)
        if rest != joined and (found := _meant([rest])):
            return found
    return None
