"""Names and usual abbreviations of the months, in the languages that users may have. Pure."""

from __future__ import annotations

import unicodedata

_LATIN = """
jan january januar janner janv janvier ene enero gen gennaio januari janeiro sty styczen stycznia
feb february februar feber fev fevr fevrier febr febrero febbraio februari fevereiro lut luty lutego
mar march marz maerz mrz mars marzo maart mrt marco marzec marca
apr april avr avril abr abril aprile kwi kwiecien kwietnia
may mai mayo mag maggio mei maio maj maja
jun june juni juin junio giu giugno junho cze czerwiec czerwca
jul july juli juil juill juillet julio lug luglio julho lip lipiec lipca
aug august aou aout ago agosto augustus sie sierpien sierpnia
sep sept september septembre septiembre setiembre set sett settembre setembro wrz wrzesien wrzesnia
oct october okt oktober octobre octubre ott ottobre out outubro paz pazdziernik pazdziernika
nov november novembre noviembre novembro lis listopad listopada
dec december dez dezember decembre dic diciembre dicembre dezembro gru grudzien grudnia
"""
_OTHERS = """
一月 يناير كانون_الثاني جانفي
二月 فبراير شباط فيفري
三月 مارس آذار
四月 أبريل ابريل إبريل نيسان أفريل
五月 مايو أيار ماي
六月 يونيو يونيه حزيران جوان
七月 يوليو يوليه تموز جويلية
八月 أغسطس اغسطس آب أوت
九月 سبتمبر أيلول
十月 أكتوبر اكتوبر تشرين_الأول
十一月 نوفمبر تشرين_الثاني
十二月 ديسمبر كانون_الأول
"""
"""The months in their order, one a line; `_` is a space in a name."""


def _folded(name: str) -> str:
    apart = unicodedata.normalize("NFKD", name).lower().replace("\u0142", "l").replace("\u00df", "ss")
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


MONTH = {
    _folded(name.replace("_", " ")): number
    for names in (_LATIN, _OTHERS)
    for number, line in enumerate(names.strip().split("\n"), 1)
    for name in line.split()
}
"""The number of each month, by its name in lower case without accents."""

ENGLISH = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def month_of(name: str) -> int | None:
    """Return the number of the month `name`; None if it is not one. Case, accents and a full stop do not matter."""
    return MONTH.get(_folded(" ".join(name.split()).removesuffix(".")))
