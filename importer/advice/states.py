"""What a word says of who has left: for proposals that deactivate users, so only what is certain.  Pure.

`importer.rules.left` knows more words, for warnings. A word that means either in one system or another (Inactive,
Suspended, Pending) is left to a person, unless the other words of the column settle it.
"""

from __future__ import annotations

import unicodedata
from enum import Enum, auto
from functools import lru_cache

from importer.rules.left import FALSE_WORDS, TRUE_WORDS


class Meant(Enum):
    """What a word says."""

    LEFT = auto()
    STAYS = auto()
    OPEN = auto()  # a person must say


def _set(words: str) -> frozenset[str]:
    return frozenset(map(plain, words.split()))


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """`text` as it is looked up: letters and digits without accents, in lower case."""
    apart = unicodedata.normalize("NFKD", text).lower().replace("\u0142", "l").replace("\u00df", "ss")
    return "".join(letter for letter in apart if letter.isalnum())


_YES = TRUE_WORDS - {"x"} | _set("はい 有 真 是 対 对 對 نعم صح verdadeira vrai oui")
_NO = FALSE_WORDS | _set("いいえ 無 偽 否 不是 لا خطأ")
_TICKS = frozenset({"x", "✓", "✔", "☑", "○", "◯"})
_BESIDE = {"t": "f", "f": "t", "s": "n", "o": "n"}
"""Letters that say yes or no only beside another: T may be Terminated, S Suspended."""

_LEFT = _set(
    "terminated termed termd leaver left exited departed separated exemployee formeremployee former offboarded gone"
    " nolongeremployed notemployed deceased retired laidoff contractended employmentended terminatedvoluntary"
    " ausgeschieden ausgetreten ehemalig ehemaliger ehemalige verrentet pensioniert verstorben"
    " beschaftigungbeendet vertragbeendet sorti sortie parti partie ancien ancienne anciensalarie retraite decede"
    " quitte contrattermine dadodebaja cesado cesada exempleado exempleada desvinculado desvinculada"
    " jubilado jubilada fallecido cessato cessata exdipendente pensionato pensionata rapportocessato"
    " uitdienst vertrokken oudmedewerker exmedewerker gepensioneerd desligado desligada demitido demitida"
    " exfuncionario aposentado aposentada zwolniony zwolniona bylypracownik odszedl odeszla nieprzacuje"
    " 退職 退職済 退職済み 退社 離職 离职 已离职 已離職 退休 已退休 متقاعد منتهيالخدمة تركالعمل"
)
_STAYS = _set(
    "active activeemployee currentemployee current employed working onboarding probation permanent"
    " onleave loa leaveofabsence leaveofabsense paidleave unpaidleave maternityleave paternityleave parentalleave"
    " medicalleave sickleave familyleave militaryleave personalleave studyleave"
    " longtermleave activeonleave sabbatical"
    " furlough furloughed prehire notterminated activeloa leavewithpay leavewithoutpay"
    " aktiv angestellt beschaftigt aktivbeschaftigt inelternzeit elternzeit mutterschutz beurlaubt inprobezeit"
    " probezeit langzeitkrank sonderurlaub actif active enposte encontrat enconge congeparental congematernite"
    " congemaladie congesansolde arretmaladie activo activa enactivo alta dadodealta depermiso enlicencia"
    " bajamedica bajapormaternidad bajamaternal bajaporenfermedad excedencia incapacidad attivo attiva inforza"
    " inservizio inaspettativa aspettativa maternita congedoparentale actief indienst metverlof zwangerschapsverlof"
    " ouderschapsverlof ativo ativa emferias ferias delicenca licencamaternidade afastado afastada aktywny aktywna"
    " zatrudniony zatrudniona urlopmacierzynski urlopwychowawczy naurlopie"
    " 在籍 在籍中 在職 在職中 有効 休職 休職中 育休 育児休業 産休 在职 在岗 休假"
    " 产假 试用期 正式 نشط علىرأسالعمل فيإجازة إجازة"
)
_SETTLED_LEFT = _set(
    "inactive inaktiv nichtaktiv inactif nonactif inactivo inactiva inattivo inattiva nonattivo inactief nietactief"
    " inativo inativa nieaktywny nieaktywna notactive nonactive disabled deactivated deaktiviert desactive"
    " 無効 停用 غيرنشط"
)
"""Left, where the column has no clearer word for that: elsewhere it may be a leave."""

_STATES = frozenset("aildrpuq")
"""Letters that stand for states: A and T are Active and Terminated."""

_LEAVE = _set("leave conge licencia permiso licenca congedo verlof urlop abwesend absent")
"""A leave, where the column has a word for those who have left: elsewhere it may be the leaving."""

_NOTES = {
    "suspended": "A suspended user is still employed, but may be meant to have no access.",
    "pending": "It may be a user who has not started, or one who is about to leave.",
    "resigned": "A user who has resigned works until the last day.",
}
_MAYBE_INACTIVE = "It may be a leave, since the column has another word for those who have left."
_NOT_THOSE = _set("pending future planned not rescinded rehire rehired rehirable no until rescind eligible partial")


def flag_of(text: str, all_words: frozenset[str], blanks: int) -> bool | None:
    """Whether `text` is a yes; None if it is no word for yes or no. A tick is one if it stands beside blanks only."""
    word = plain(text)
    if text.strip().lower() in _TICKS:
        return True if blanks and len(all_words) == 1 else None
    if word in _YES or word in _NO:
        if len(word) == 1 and word.isascii() and word.isalpha():
            letters = {plain(each) for each in all_words}
            if letters & _STATES or _BESIDE.get(word, word) not in letters:
                return None
        return word in _YES
    return None


def state_of(text: str, all_words: frozenset[str]) -> tuple[Meant, str]:
    """What `text` says of the user, and a note where that is left to a person."""
    word = plain(text)
    others = {plain(each) for each in all_words} - {word}
    if len(word) == 1:
        return _letter(word, {plain(each) for each in all_words})
    if word in _LEFT:
        return Meant.LEFT, ""
    if word in _STAYS:
        return Meant.STAYS, ""
    if word in _SETTLED_LEFT:
        clearer = any(_says_left(each) for each in others)
        return (Meant.OPEN, _MAYBE_INACTIVE) if clearer else (Meant.LEFT, "")
    if word == "baja":  # also a sick leave
        by_active = others & {"activo", "activa"} and not any(each.startswith("baja") for each in others)
        return (Meant.LEFT, "") if "alta" in others or by_active else (Meant.OPEN, "It may be a sick leave.")
    if word in _LEAVE:
        return (Meant.STAYS, "") if any(_says_left(each) for each in others) else (Meant.OPEN, "")
    begins = _first_word(text)
    if begins in _LEFT & _BEGINNINGS:
        return Meant.LEFT, ""
    if begins in _STAYS & _BEGINNINGS:
        return Meant.STAYS, ""
    return Meant.OPEN, next((note for start, note in _NOTES.items() if word.startswith(start)), "")


_BEGINNINGS = _set("terminated ausgeschieden ausgetreten active aktiv employed onleave")


def _says_left(word: str) -> bool:
    return word in _LEFT or word.startswith("terminated")


def _first_word(text: str) -> str:
    """The first word of `text` where what comes after only says more: Terminated - Voluntary, Active (LOA)."""
    if any(letter.isdigit() for letter in text):
        return ""
    words = [plain(word) for word in text.replace("-", " ").replace("/", " ").split()]
    words = [word for word in words if word]
    if len(words) < 2 or set(words[1:]) & _NOT_THOSE or any(_says_left(word) for word in words[1:]):
        return ""
    return words[0]


def _letter(letter: str, letters: set[str]) -> tuple[Meant, str]:
    """A and T of a column that has only letters of states; the others differ from system to system."""
    if letters <= set("atilrdsupq") and {"a", "t"} <= letters and letter in "at":
        return (Meant.STAYS if letter == "a" else Meant.LEFT), ""
    if letters == {"a", "i"} and letter in "ai":
        return (Meant.STAYS if letter == "a" else Meant.LEFT), ""
    return Meant.OPEN, ""
