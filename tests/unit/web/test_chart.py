"""The chart of the last imports: a picture that fits anywhere, and the same in words."""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element, fromstring

import pytest

from server.web.pages.imports.chart import HEIGHT, ZERO, Point, Scale, described, draw

POINTS = [Point("#1", 400, 400, 0, 0), Point("#2", 395, 2, 30, 7), Point("#4", 395, 0, 0, 0)]


def drawn(points: list[Point]) -> Element:
    return fromstring(str(draw(points)))


def shapes(points: list[Point], tag: str, kind: str) -> list[dict[str, float]]:
    found = [each for each in drawn(points).iter(tag) if each.get("class") == kind]
    return [
        {name: float(value.rstrip("%")) for name, value in each.attrib.items() if name != "class"} for each in found
    ]


def test_users_are_a_line_and_a_dot_for_each_import() -> None:
    assert len(shapes(POINTS, "line", "users")) == 2
    dots = shapes(POINTS, "circle", "users")
    assert dots[0]["cy"] < dots[1]["cy"] == dots[2]["cy"], "more is higher"


def test_what_came_goes_up_what_left_goes_down_and_nothing_is_not_there() -> None:
    (first, second), (changed,), (left,) = (shapes(POINTS, "rect", kind) for kind in ("joined", "changed", "left"))
    assert first["y"] < second["y"]
    assert all(bar["y"] + bar["height"] == ZERO for bar in (first, second, changed))
    assert left["y"] == ZERO


def test_who_left_is_measured_like_who_joined() -> None:
    (joined, _), (left,) = (
        shapes([Point("#1", 9, 9, 0, 3), Point("#2", 18, 9, 0, 0)], "rect", kind) for kind in ("joined", "left")
    )
    assert joined["height"] == pytest.approx(3 * left["height"], abs=0.2)


def test_a_few_can_be_seen_beside_very_many() -> None:
    points = [Point("#1", None, 1_000_000, 0, 0), Point("#2", None, 1, 0, 0)]
    small = shapes(points, "rect", "joined")[1]
    assert small["height"] >= 2


@pytest.mark.parametrize("count", [1, 2, 30, 200])
def test_nothing_is_drawn_outside(count: int) -> None:
    points = [Point(f"#{number}", number, number * 3, number, number * 2) for number in range(1, count + 1)]
    for kind in ("joined", "changed", "left", "hint"):
        for bar in shapes(points, "rect", kind):
            assert 0 <= bar["x"] <= bar["x"] + bar["width"] <= 100.02
            assert 0 <= bar["y"] <= bar["y"] + bar["height"] <= HEIGHT


def test_an_import_of_which_nobody_counted_the_users_leaves_a_gap_in_the_dots_only() -> None:
    points = [Point("#1", 5, 5, 0, 0), Point("#2", None, 1, 0, 0), Point("#3", 6, 0, 1, 0)]
    assert len(shapes(points, "circle", "users")) == 2
    assert len(shapes(points, "line", "users")) == 1
    assert len(shapes(points, "rect", "hint")) == 3


def test_it_is_one_picture_with_a_name_and_a_description() -> None:
    picture = drawn(POINTS)
    assert picture.get("role") == "img"
    named = {each.get("id"): each.text for each in picture}
    assert [named[name] for name in (picture.get("aria-labelledby") or "").split()] == [
        "The last imports",
        "3 imports. Users went from 400 to 395. In all 402 joined, 30 changed and 7 left.",
    ]


def test_it_has_no_style_of_its_own() -> None:
    assert all("style" not in each.attrib and each.tag != "style" for each in drawn(POINTS).iter())


def test_a_label_stays_text() -> None:
    hint = list(drawn([Point("<b>&", 1, 1, 0, 0)]).iter("title"))[1]
    assert hint.text == "<b>&: 1 joined, 0 changed, 0 left, 1 user"


def test_no_import_is_no_fault() -> None:
    assert described([]) == "0 imports. In all 0 joined, 0 changed and 0 left."
    assert drawn([]).get("role") == "img"


@pytest.mark.parametrize("most", [1, 7, 50, 51, 999, 10**6])
def test_more_is_never_lower(most: int) -> None:
    scale = Scale(most)
    heights = [scale(count) for count in range(0, most + 1, max(1, most // 50))]
    assert heights[0] == 0
    assert all(one < other for one, other in pairwise(heights))
    assert scale(most) == 1
    assert all(0 < scale(mark) <= 1 for mark in scale.marks)
