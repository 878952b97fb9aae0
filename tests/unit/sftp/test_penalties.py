"""Penalties of sources add up to a ban, expire with time, and take bounded memory."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sftp.bans.penalties import Offense, Penalties, PenaltyRules

RULES = PenaltyRules(no_login_s=1, refused_s=5, grace_s=10, min_s=15, max_s=600)
A, B = "192.0.2.1", "192.0.2.2"
FLOAT = 1e-6


def punished(penalties: Penalties, times: int, now: float = 0.0, source: str = A) -> list[bool]:
    """Return for each of `times` refused logins whether it began a ban."""
    return [penalties.punish(source, Offense.REFUSED, now) is not None for _ in range(times)]


def test_a_ban_begins_when_the_penalties_reach_the_shortest_ban() -> None:
    penalties = Penalties(RULES)
    assert punished(penalties, 2) == [False, False]
    assert not penalties.banned(A, 0)
    assert punished(penalties, 1) == [True]
    assert penalties.banned(A, 14.9)
    assert not penalties.banned(A, 15)


def test_one_source_is_not_banned_for_another() -> None:
    penalties = Penalties(RULES)
    punished(penalties, 3)
    assert not penalties.banned(B, 0)


def test_penalties_expire_second_by_second() -> None:
    penalties = Penalties(RULES)
    for second in range(0, 600, 5):
        assert punished(penalties, 1, now=second) == [False]
    assert punished(penalties, 2, now=600) == [False, False]
    assert punished(penalties, 1, now=601) == [False]
    assert punished(penalties, 1, now=601) == [True]


@pytest.mark.parametrize(("offense", "times"), [(Offense.NO_LOGIN, 15), (Offense.REFUSED, 3), (Offense.GRACE, 2)])
def test_each_offense_has_its_own_penalty_and_is_the_reason_of_the_ban(offense: Offense, times: int) -> None:
    penalties = Penalties(RULES)
    begun = [penalties.punish(A, offense, 0) for _ in range(times)]
    assert [ban is not None for ban in begun] == [False] * (times - 1) + [True]
    assert begun[-1] is not None
    assert begun[-1].reason == offense.value


def test_connections_that_were_open_before_a_ban_lengthen_it() -> None:
    penalties = Penalties(RULES)
    assert punished(penalties, 200).count(True) == 1
    assert penalties.bans(0)[A].until == 600


def test_an_offense_without_a_penalty_is_not_kept() -> None:
    penalties = Penalties(PenaltyRules(no_login_s=0, refused_s=0, grace_s=0, min_s=15, max_s=600))
    assert punished(penalties, 1000).count(True) == 0
    assert len(penalties) == 0


def test_a_longest_ban_below_the_shortest_is_the_length_of_every_ban() -> None:
    penalties = Penalties(PenaltyRules(no_login_s=1, refused_s=5, grace_s=10, min_s=15, max_s=5))
    assert punished(penalties, 1) == [True]
    assert not penalties.banned(A, 5)


def test_a_login_ends_the_penalties_of_its_source() -> None:
    penalties = Penalties(RULES)
    punished(penalties, 100)
    penalties.logged_in(A)
    assert not penalties.banned(A, 0)
    assert punished(penalties, 2) == [False, False]


def test_while_a_source_has_a_session_its_bans_last_the_shortest_time() -> None:
    penalties = Penalties(RULES)
    penalties.logged_in(A)
    penalties.logged_in(A)
    penalties.logged_out(A)
    punished(penalties, 100)
    punished(penalties, 100, now=10)
    assert penalties.bans(10)[A].until == 15
    penalties.logged_out(A)
    punished(penalties, 200, now=20)
    assert penalties.bans(20)[A].until == 620


def test_a_restored_ban_lasts_no_longer_than_the_longest_ban() -> None:
    penalties = Penalties(RULES)
    penalties.restore(A, 1e9, "refused logins", now=7)
    penalties.restore(B, -1, "refused logins", now=7)
    assert {source: ban.until for source, ban in penalties.bans(7).items()} == {A: 607}


def test_when_too_many_sources_are_kept_the_smallest_debts_go_first() -> None:
    penalties = Penalties(RULES, most_sources=10)
    punished(penalties, 3, source=A)
    penalties.punish(B, Offense.GRACE, 0)
    for number in range(1000):
        penalties.punish(f"2001:db8:0:{number:x}::/64", Offense.NO_LOGIN, 0)
        assert len(penalties) <= 10
    assert penalties.banned(A, 0)
    assert [penalties.punish(B, Offense.REFUSED, 0) is not None] == [True], (
        "10 seconds from before and 5 more are a ban"
    )


def test_sources_that_owe_nothing_are_dropped() -> None:
    penalties = Penalties(RULES)
    punished(penalties, 1)
    assert penalties.bans(5) == {}
    assert len(penalties) == 0


SOURCES = st.sampled_from([f"192.0.2.{number}" for number in range(6)])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["punish", "log in", "log out", "forgive", "restore"]),
        SOURCES,
        st.sampled_from(list(Offense)),
        st.floats(0, 30),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_ban_is_longer_than_allowed_whatever_happens(steps: list[tuple[str, str, Offense, float]]) -> None:
    penalties, now, sessions = Penalties(RULES, most_sources=4), 0.0, Counter[str]()
    began: dict[str, float] = {}
    for what, source, offense, passed_s in steps:
        now += passed_s
        if what == "punish":
            shared = sessions[source] > 0
            if penalties.punish(source, offense, now):
                began[source] = now
                assert shared <= (penalties.bans(now)[source].until - now <= RULES.min_s + FLOAT)
        elif what == "log in":
            penalties.logged_in(source)
            sessions[source] += 1
            assert not penalties.banned(source, now)
        elif what == "log out" and sessions[source]:
            penalties.logged_out(source)
            sessions[source] -= 1
        elif what == "forgive":
            penalties.forgive(source)
        elif what == "restore" and not sessions[source]:
            penalties.restore(source, passed_s * 100, "refused logins", now)
        assert len(penalties) <= 4
        held = penalties.bans(now)
        assert all(0 < ban.until - now <= RULES.max_s + FLOAT for ban in held.values())
        assert all(not penalties.banned(source, now + RULES.max_s + FLOAT) for source in held)
        if sessions[source] and source in held and what == "punish":
            assert held[source].until <= began[source] + RULES.min_s + FLOAT


@given(st.lists(st.tuples(st.sampled_from(list(Offense)), st.floats(0, 20)), max_size=40))
def test_a_debt_is_the_sum_of_the_penalties_less_the_time_since(offenses: list[tuple[Offense, float]]) -> None:
    """Compare with a model in plain numbers, for one source without sessions."""
    penalties, now, owed, banned = Penalties(RULES), 0.0, 0.0, False
    for offense, passed_s in offenses:
        now += passed_s
        owed = max(0.0, owed - passed_s)
        banned = banned and owed > 1e-6
        owed = min(owed + RULES.cost_s(offense), RULES.max_s)
        penalties.punish(A, offense, now)
        if abs(owed - RULES.min_s) < 1e-6:
            return  # too near to decide with floats
        banned = banned or owed >= RULES.min_s
        assert penalties.banned(A, now) == banned
        assert penalties.banned(A, now + owed - 1e-3) == banned
        assert not penalties.banned(A, now + owed + 1e-3)
