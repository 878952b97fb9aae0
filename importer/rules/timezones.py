"""Time zones: a city, an IANA name, a Rails name or a Windows name -> the IANA name. Pure.

Case, accents, and whether a space is an underscore do not matter. A name of several places is refused: a guess never
sets the time zone of a user.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import cache
from importlib import resources

from importer.nearest import LONGEST, Nearest
from importer.rules.cells import Invalid
from importer.rules.railszones import RAILS_ZONES
from importer.rules.windowszones import WINDOWS_ZONES

CITY_AREAS = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)
NOT_CITIES = frozenset(
    {"ACT", "LHI", "NSW", "North", "Queensland", "South", "Tasmania", "Victoria", "West", "Virgin", "Center"}
)
"""Last parts of IANA names that are not cities."""

NAMESAKES = {
    "Cordoba": ("America/Argentina/Cordoba", "Europe/Madrid"),
    "La Rioja": ("America/Argentina/La_Rioja", "Europe/Madrid"),
    "Merida": ("America/Merida", "America/Caracas", "Europe/Madrid"),
    "Monticello": ("America/Kentucky/Monticello", "America/Chicago"),
    "Petersburg": ("America/Indiana/Petersburg", "America/New_York", "Europe/Moscow"),
    "San Juan": ("America/Argentina/San_Juan", "America/Puerto_Rico"),
    "San Luis": ("America/Argentina/San_Luis", "America/Mexico_City"),
    "Victoria": ("America/Vancouver", "Australia/Melbourne", "Indian/Mahe"),
    "Vincennes": ("America/Indiana/Vincennes", "Europe/Paris"),
}
"""Names of cities in several zones, if the IANA zone of that name is not the usual meaning."""

NEAR_CITY = 0.7
NEAR_TIME = 0.8
"""The least similarity of a name that is proposed. Names with “Time” need more, as they share that word."""

_PARTS_OF_THE_WORLD = {
    "africa": {"Africa"},
    "america": {"America"},
    "antarctica": {"Antarctica"},
    "arctic": {"Arctic", "Europe"},
    "asia": {"Asia"},
    "atlantic": {"Atlantic", "America"},
    "australia": {"Australia"},
    "europe": {"Europe"},
    "indian": {"Indian", "Asia", "America"},
    "pacific": {"Pacific", "America", "Asia"},
    "romance": {"Europe"},
    "us": {"America", "Pacific"},
    "usa": {"America", "Pacific"},
    "canada": {"America"},
}
"""Words for a part of the world, also with an `n` at the end, and the IANA areas that fit."""

_PREFIX = re.compile(r"\s*\((?:gmt|utc)[^)]*\)\s*(?=\S)", re.IGNORECASE)
_OFFSET = re.compile(r"(?:gmt|utc)?\s*([+-])\s*0?(\d{1,2})(?::?(\d\d))?", re.IGNORECASE)
_FARTHEST_H = {"+": 14, "-": 12}


def check_time_zone(text: str) -> str | Invalid:
    """Return the IANA name of the time zone that `text` names, or what is wrong with it."""
    key = _fold(text)
    zone = _zones().get(key)
    if zone:
        return zone
    if key in _AMBIGUOUS:
        return Invalid(
            "ambiguous_time_zone",
            f"Several places have this name. Write one of: {', '.join(_AMBIGUOUS[key])}.",
        )
    return Invalid("unknown_time_zone", f"No such time zone. {_advice(text)}")


def _advice(text: str) -> str:
    offset = _OFFSET.fullmatch(text)
    if offset and not int(offset[3] or 0) and 0 < int(offset[2]) <= _FARTHEST_H[offset[1]]:
        # Etc zones have the signs of POSIX, which are reversed.
        fixed = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}"
        return (
            "An offset does not say when clocks change. Write the city where the user works, or "
            f"{fixed} if the clocks never change."
        )
    hint = f" Did you mean {meant}?" if (meant := _near(text)) else ""
    return f"Write a city or an IANA name, such as London or Europe/London.{hint}"


def _near(text: str) -> str | None:
    """Return the name that `text` probably means, never outside the part of the world it names; None if none."""
    bare = _PREFIX.sub("", text, count=1)
    if bare != text and _zones().get(_fold(bare)):
        return bare.strip()
    place = bare.rpartition("/")[2]
    exact = next((name for name in (place, f"{place} Time") if _fold(name) in _zones()), None)
    nearest = exact or _nearest().to(place, at_least=NEAR_CITY)
    if not nearest or len(nearest) > LONGEST:
        return None
    zone = _zones()[_fold(nearest)]
    is_time = _fold(nearest).endswith(" time")
    if is_time and not exact and not _nearest().to(place, at_least=NEAR_TIME):
        return None
    words = re.findall(r"[a-z]+", _fold(bare))
    areas = [_PARTS_OF_THE_WORLD.get(word) or _PARTS_OF_THE_WORLD.get(word.removesuffix("n")) for word in words]
    if any(fitting and zone.partition("/")[0] not in fitting for fitting in areas):
        return None
    return zone if "/" in bare or is_time else nearest


def _fold(name: str) -> str:
    if not name.isascii():
        name = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return " ".join(name.replace("_", " ").split()).casefold()


def iana_names() -> list[str]:
    """Return every name of the installed tz database."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return [name for name in listed if name != "Factory"]


def _canonical() -> set[str]:
    """Return the names in zone.tab: one for each place, and no old spelling."""
    table = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    return {line.split("\t")[2] for line in table.splitlines() if not line.startswith("#")}


@cache
def _cities() -> dict[str, str]:
    """Return the cities at the end of IANA names, each with its IANA name, the canonical one of two."""
    canonical = _canonical()
    found: dict[str, list[str]] = defaultdict(list)
    for name in iana_names():
        area, _, city = name.rpartition("/")
        if area.split("/")[0] in CITY_AREAS and city not in NOT_CITIES:
            found[city.replace("_", " ")].append(name)
    return {city: max(names, key=lambda name: (name in canonical, name)) for city, names in found.items()}


def _short_rails_names() -> dict[str, str]:
    """Return short names: “Eastern Time” for “Eastern Time (US & Canada)”."""
    shorts = {name.partition(" (")[0]: zone for name, zone in RAILS_ZONES.items()}
    return {short: zone for short, zone in shorts.items() if short.endswith(" Time")}


def _iana_names(*, in_areas: bool) -> dict[str, str]:
    return {name: name for name in iana_names() if ("/" in name) == in_areas}


_AMBIGUOUS = {_fold(city): zones for city, zones in NAMESAKES.items()}


@cache
def _zones() -> dict[str, str]:
    """Return every folded name with its zone. Computed at the first call, since it reads the tz database."""
    # Later ones win: a full IANA name is itself, but “Singapore” is Asia/Singapore, not the old name Singapore.
    all_names = (
        _iana_names(in_areas=False),
        _cities(),
        WINDOWS_ZONES,
        _short_rails_names(),
        RAILS_ZONES,
        _iana_names(in_areas=True),
    )
    found = {_fold(name): zone for names in all_names for name, zone in names.items()}
    return {name: zone for name, zone in found.items() if name not in _AMBIGUOUS}


@cache
def _nearest() -> Nearest:
    return Nearest({*_cities(), *RAILS_ZONES, *WINDOWS_ZONES} - set(NAMESAKES))
