"""The chart of the newest imports: an image that fits any width, and a description in words."""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element, fromstring

import pytest

from server.web.pages.imports.chart import ZERO, Point, Scale, described, draw, height_of, round_up, scale_of

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


def test_bars_go_up_for_created_and_down_for_deactivated_users() -> None:
    (first, second), (updated,), (deactivated,) = (
        shapes(POINTS, "rect", kind) for kind in ("added", "updated", "deactivated")
    )
    assert first["y"] < second["y"]
    assert all(bar["y"] + bar["height"] == ZERO for bar in (first, second, updated))
    assert deactivated["y"] == ZERO


def test_bars_up_and_down_have_one_scale() -> None:
    (added, _), (deactivated,) = (
        shapes([Point("#1", 9, 9, 0, 3), Point("#2", 18, 9, 0, 0)], "rect", kind) for kind in ("added", "deactivated")
    )
    assert added["height"] == pytest.approx(3 * deactivated["height"], abs=0.2)


def test_a_small_count_is_visible_beside_a_large_one() -> None:
    points = [Point("#1", None, 1_000_000, 0, 0), Point("#2", None, 1, 0, 0)]
    small = shapes(points, "rect", "added")[1]
    assert small["height"] >= 2


@pytest.mark.parametrize("count", [1, 2, 30, 200])
def test_the_chart_draws_nothing_outside_its_box(count: int) -> None:
    points = [Point(f"#{number}", number, number * 3, number, number * 2) for number in range(1, count + 1)]
    for kind in ("added", "updated", "deactivated", "hint"):
        for bar in shapes(points, "rect", kind):
            assert 0 <= bar["x"] <= bar["x"] + bar["width"] <= 100.02
            assert 0 <= bar["y"] <= bar["y"] + bar["height"] <= height_of(points)


def test_an_import_without_a_user_count_leaves_a_gap_in_the_line_only() -> None:
    points = [Point("#1", 5, 5, 0, 0), Point("#2", None, 1, 0, 0), Point("#3", 6, 0, 1, 0)]
    assert len(shapes(points, "circle", "users")) == 2
    assert len(shapes(points, "line", "users")) == 1
    assert len(shapes(points, "rect", "hint")) == 3


def test_the_chart_is_one_image_with_a_name_and_a_description() -> None:
    picture = drawn(POINTS)
    assert picture.get("role") == "img"
    named = {each.get("id"): each.text for each in picture}
    assert [named[name] for name in (picture.get("aria-labelledby") or "").split()] == [
        "The newest imports",
        (
            "3 imports. Active users went from 400 to 395."
            " In total: 402 created or reactivated, 30 updated, 7 deactivated."
        ),
    ]


def test_the_chart_has_no_inline_style() -> None:
    assert all("style" not in each.attrib and each.tag != "style" for each in drawn(POINTS).iter())


def test_a_label_stays_text() -> None:
    hint = list(drawn([Point("<b>&", 1, 1, 0, 0)]).iter("title"))[1]
    assert hint.text == "<b>&: 1 created or reactivated, 0 updated, 0 deactivated; 1 active user"


def test_a_hint_has_the_day_of_the_end_in_utc_and_the_time_for_the_script() -> None:
    hint = list(drawn([Point("#7", None, 1, 0, 0, "2026-03-01T23:30:00.000Z")]).iter("title"))[1]
    assert hint.text == "#7, 1 Mar: 1 created or reactivated, 0 updated, 0 deactivated"
    assert dict(hint.attrib) == {"data-at": "2026-03-01T23:30:00.000Z", "data-day": "1 Mar"}
    assert list(drawn([Point("#7", None, 1, 0, 0)]).iter("title"))[1].attrib == {}


def test_a_chart_without_imports_is_not_an_error() -> None:
    assert described([]) == "0 imports. In total: 0 created or reactivated, 0 updated, 0 deactivated."
    assert drawn([]).get("role") == "img"


@pytest.mark.parametrize("most", [1, 7, 50, 51, 999, 10**6])
def test_a_larger_count_is_never_lower(most: int) -> None:
    scale = Scale(most)
    heights = [scale(count) for count in range(0, most + 1, max(1, most // 50))]
    assert heights[0] == 0
    assert all(one < other for one, other in pairwise(heights))
    assert scale(most) == 1
    assert all(0 < scale(mark) <= 1 for mark in scale.marks)


@pytest.mark.parametrize(
    ("count", "end"),
    [
        (0, 0),
        (1, 1),
        (7, 8),
        (9, 10),
        (11, 12),
        (13, 15),
        (16, 20),
        (21, 25),
        (112, 120),
        (1_037, 1_200),
        (9_999, 10_000),
    ],
)
def test_a_scale_ends_at_a_round_integer(count: int, end: int) -> None:
    assert round_up(count) == end


def test_a_scale_wastes_at_most_a_quarter_of_its_height() -> None:
    assert all(count <= round_up(count) <= count * 4 / 3 for count in range(3, 3000))


@pytest.mark.parametrize(("top", "marks"), [(0, []), (1, [1]), (2, [1, 2]), (3, [3]), (5, [5]), (10, [5, 10])])
def test_the_grid_has_integers_only(top: int, marks: list[int]) -> None:
    assert sorted(Scale(top).marks) == marks


def test_the_marks_of_small_counts_are_not_tens() -> None:
    points = [Point("#1", 7, 7, 0, 0), Point("#2", 8, 1, 3, 0)]
    texts = [each.text for each in drawn(points).iter("text")]
    assert texts == ["0", "4", "8", "4", "8", "0"]


def test_two_imports_share_the_complete_width() -> None:
    hints = shapes(POINTS[:2], "rect", "hint")
    assert [(hint["x"], hint["width"]) for hint in hints] == [(0, 50), (50, 50)]
    assert all(bar["width"] <= 2.5 for bar in shapes(POINTS[:2], "rect", "added"))


def test_without_deactivated_users_the_chart_ends_at_the_zero_line() -> None:
    calm = [Point("#1", 5, 5, 0, 0), Point("#2", 6, 1, 0, 0)]
    assert float(drawn(calm).get("height") or 0) == height_of(calm) == ZERO + 4
    assert height_of(POINTS) > height_of(calm)


def test_a_large_first_import_does_not_flatten_the_others() -> None:
    points = [Point("#1", 1000, 1000, 0, 0), *(Point(f"#{n}", 1000 + n, n, 0, 0) for n in range(1, 5))]
    assert scale_of(points).top == 4
    first, *others = shapes(points, "rect", "added")
    assert first["height"] == others[-1]["height"]
    assert len(shapes(points, "rect", "gap")) == 1
    assert [each.text for each in drawn(points).iter("text") if each.get("class")] == ["1,000"]


def test_many_large_imports_are_not_cut() -> None:
    points = [Point(f"#{n}", 100, 0, n, 100 - n) for n in range(1, 31)]
    assert shapes(points, "rect", "gap") == []


def test_a_cut_bar_down_has_its_number_inside_the_chart() -> None:
    points = [*(Point(f"#{n}", 99, 0, 1, 0) for n in range(9)), Point("#9", 10, 0, 0, 900)]
    (gap,) = shapes(points, "rect", "gap")
    assert ZERO < gap["y"] < height_of(points)
    assert [(each.text, each.get("class")) for each in drawn(points).iter("text") if each.get("class")] == [
        ("900", "before")
    ]
