"""The names of time zones."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from importer.rules.cells import Invalid
from importer.rules.railszones import RAILS_ZONES
from importer.rules.timezones import NAMESAKES, check_time_zone, iana_names
from importer.rules.windowszones import WINDOWS_ZONES


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("London", "Europe/London"),
        ("New York", "America/New_York"),
        ("new_york", "America/New_York"),
        ("Europe/London", "Europe/London"),
        ("europe/london", "Europe/London"),
        ("Eastern Time (US & Canada)", "America/New_York"),
        ("eastern time (us & canada)", "America/New_York"),
        ("eastern time", "America/New_York"),
        ("Zürich", "Europe/Zurich"),
        ("São Paulo", "America/Sao_Paulo"),
        ("Buenos Aires", "America/Argentina/Buenos_Aires"),
        ("Indianapolis", "America/Indiana/Indianapolis"),
        ("Singapore", "Asia/Singapore"),
        ("Istanbul", "Europe/Istanbul"),
        ("Kyiv", "Europe/Kyiv"),
        ("UTC", "Etc/UTC"),
        ("America/Argentina/Cordoba", "America/Argentina/Cordoba"),
    ],
)
def test_a_city_an_iana_name_or_a_rails_name_gives_the_iana_name(text: str, zone: str) -> None:
    assert check_time_zone(text) == zone


def refused(text: str) -> Invalid:
    found = check_time_zone(text)
    assert isinstance(found, Invalid), found
    return found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Londn", "London"),
        ("Europe/Berlim", "Europe/Berlin"),
        ("US/Chicago", "America/Chicago"),
        ("Eastern", "America/New_York"),
        ("Central European Time", "Europe/"),
        ("(GMT+01:00) Berlin", "Did you mean Berlin?"),
        ("GMT+2", "Etc/GMT-2"),
        ("-5", "Etc/GMT+5"),
    ],
)
def test_any_other_time_zone_is_refused_with_a_hint(text: str, hint: str) -> None:
    assert refused(text).code == "unknown_time_zone"
    assert hint in refused(text).message


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Springfield",
            "Romance",
            "Ulm",
            "Munich",
            "Eastern European Time",
            "East Africa Time",
            "Central Africa Time",
        ),
        *("America/Berlin", "Europe/New_York", "Asia/Melbourne", "Pacific Daylight Time", "Mitteleuropa", "-"),
    ],
)
def test_no_dissimilar_name_or_one_on_another_continent_is_proposed(text: str) -> None:
    assert "mean" not in refused(text).message


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("Romance Standard Time", "Europe/Paris"),
        ("GMT Standard Time", "Europe/London"),
        ("India Standard Time", "Asia/Kolkata"),
        ("Eastern Standard Time (Mexico)", "America/Cancun"),
        ("FLE Standard Time", "Europe/Kyiv"),
    ],
)
def test_windows_names_are_known(text: str, zone: str) -> None:
    assert check_time_zone(text) == zone


def test_every_windows_name_means_exactly_one_zone_that_exists() -> None:
    assert len(WINDOWS_ZONES) > 130
    assert set(WINDOWS_ZONES.values()) <= set(iana_names())
    assert all(check_time_zone(name) == zone for name, zone in WINDOWS_ZONES.items())


@pytest.mark.parametrize("text", ["North", "Victoria 3000", "GMT+20", "UTC+5:30", "Factory", "x" * 60_000])
def test_regions_offsets_and_nonsense_are_not_zones(text: str) -> None:
    assert refused(text).code == "unknown_time_zone"


@pytest.mark.parametrize("city", NAMESAKES)
def test_a_city_in_several_zones_is_never_guessed(city: str) -> None:
    assert refused(city.upper()).code == "ambiguous_time_zone"
    assert all(zone in refused(city).message and ZoneInfo(zone) for zone in NAMESAKES[city])


def test_every_rails_name_means_a_zone_that_exists() -> None:
    assert len(RAILS_ZONES) > 150
    assert set(RAILS_ZONES.values()) <= set(iana_names())
    assert all(check_time_zone(name.upper()) == zone for name, zone in RAILS_ZONES.items())


def test_every_full_iana_name_is_itself() -> None:
    full = [name for name in iana_names() if "/" in name]
    assert [check_time_zone(name.lower()) for name in full] == full
