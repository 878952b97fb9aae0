"""While a tenant sends many files one after the other, its runs wait, but not for long."""

from __future__ import annotations

from server.runs.rush import FEW, GAP_S, LONGEST_S, PAUSE_S, Rush


def rush_of(files: int, every_s: float, began_at: float = 100.0) -> tuple[Rush, float]:
    """Return a rush of so many files, and when the last one landed."""
    rush, now = Rush(), began_at
    for number in range(files):
        now = began_at + number * every_s
        rush.landed(now)
    return rush, now


def test_the_first_files_are_run_at_once() -> None:
    for files in range(1, FEW + 1):
        rush, now = rush_of(files, 0.001)
        assert not rush.holds(now)
    rush, now = rush_of(FEW + 1, 0.001)
    assert rush.holds(now)


def test_runs_go_on_soon_after_the_last_file() -> None:
    rush, now = rush_of(50, 0.001)
    assert rush.holds(now + GAP_S / 2)
    assert not rush.holds(now + GAP_S * 1.01)


def test_a_short_gap_ends_no_rush() -> None:
    rush, now = rush_of(50, 0.001)
    rush.landed(now + PAUSE_S / 2)
    assert rush.holds(now + PAUSE_S / 2)


def test_a_rush_begins_anew_after_a_pause() -> None:
    rush, now = rush_of(50, 0.001)
    assert not rush.over(now + PAUSE_S / 2)
    assert rush.over(now + PAUSE_S * 1.01)
    rush.landed(now + PAUSE_S * 1.01)
    assert not rush.holds(now + PAUSE_S * 1.01)


def test_a_client_with_short_pauses_leaves_its_runs_a_third_of_the_time() -> None:
    for sends_s, pauses_s in ((2.0, 1.05), (4.0, 1.5), (9.9, 1.05), (20.0, 1.05)):
        rush, held = Rush(), 0
        steps = 20_000
        for step in range(steps):
            now = 100.0 + step * 0.05
            if step * 0.05 % (sends_s + pauses_s) < sends_s:
                rush.landed(now)
            held += rush.holds(now)
        assert held / steps < 0.67


def test_files_with_pauses_between_them_hold_nothing_up() -> None:
    rush, now = rush_of(50, PAUSE_S * 1.01)
    assert not rush.holds(now)


def test_an_endless_rush_holds_runs_up_only_at_its_beginning() -> None:
    rush, now = rush_of(int(LONGEST_S / 0.05) - 1, 0.05)
    assert rush.holds(now)
    rush, now = rush_of(int(LONGEST_S / 0.05) + 10, 0.05)
    assert not rush.holds(now)
