"""Which HTTP connections stay open when there are too many: no source takes the places of others."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from server.descriptors import kept
from server.web.crowd import SPARE, Caps, Crowd, Guest, caps_for

CAPS = Caps(connections=16, streams=3)
ATTACKER, OTHER = "192.0.2.1", "192.0.2.2"
MALLORY, ANN = 1, 2


def source(number: int) -> str:
    return f"198.51.100.{number}"


def arrived(crowd: Crowd, source: str | None) -> Guest:
    return crowd.arrive(source)[0]


def known(crowd: Crowd, source: str | None, token: int, *, answering: bool = True) -> Guest:
    """Return a guest whose request with `token` is being answered, or was answered."""
    guest = arrived(crowd, source)
    assert crowd.ask(guest, source) is not None
    assert crowd.recognize(guest, token) is not None
    if not answering:
        crowd.answered(guest)
    return guest


def test_a_new_client_takes_the_place_of_the_oldest_stranger() -> None:
    crowd = Crowd(CAPS)
    strangers = [arrived(crowd, source(number)) for number in range(CAPS.strangers)]
    newcomer, leaving = crowd.arrive(OTHER)
    assert leaving == [strangers[0]]
    assert newcomer in crowd
    assert strangers[0] not in crowd


def test_a_source_with_many_strangers_takes_no_place_of_a_source_with_few() -> None:
    crowd = Crowd(CAPS)
    few = arrived(crowd, OTHER)
    for number in range(100):
        crowd.arrive(source(number % 3))
        assert few in crowd


def test_a_source_above_its_share_loses_its_own_oldest_stranger() -> None:
    crowd = Crowd(CAPS)
    others = arrived(crowd, OTHER)
    own = [arrived(crowd, ATTACKER) for _ in range(CAPS.share)]
    assert crowd.arrive(ATTACKER)[1] == [own[0]]
    assert others in crowd


def test_a_source_with_only_busy_connections_in_its_share_gets_spare_places() -> None:
    crowd = Crowd(CAPS)
    for number in range(CAPS.share):
        known(crowd, ATTACKER, number)
    guest, leaving = crowd.arrive(ATTACKER)
    assert (leaving, crowd.ask(guest, ATTACKER)) == ([], None)
    known(crowd, OTHER, ANN)


def test_strangers_take_no_place_of_a_known_client() -> None:
    crowd = Crowd(CAPS)
    friends = [known(crowd, source(number), number, answering=False) for number in range(CAPS.strangers)]
    for number in range(100, 200):
        crowd.arrive(source(number))
    assert all(friend in crowd for friend in friends)


def test_a_token_above_its_share_is_refused_and_others_are_not() -> None:
    crowd = Crowd(CAPS)
    for number in range(CAPS.share):
        known(crowd, source(number), MALLORY)
    one_more = arrived(crowd, source(100))
    assert crowd.ask(one_more, source(100)) == []
    assert crowd.recognize(one_more, MALLORY) is None
    assert crowd.recognize(one_more, ANN) == []


def test_a_token_above_its_share_loses_its_own_idle_connection_first() -> None:
    crowd = Crowd(CAPS)
    idle = known(crowd, source(0), MALLORY, answering=False)
    for number in range(1, CAPS.share):
        known(crowd, source(number), MALLORY)
    one_more = arrived(crowd, source(100))
    assert crowd.recognize(one_more, MALLORY) == [idle]


def full(crowd: Crowd) -> list[Guest]:
    """Fill all places with known guests that are being answered."""
    return [known(crowd, source(number), number) for number in range(CAPS.connections)]


def test_above_the_cap_only_health_checks_are_answered_until_a_place_is_free() -> None:
    crowd = Crowd(CAPS)
    guests = full(crowd)
    guest, leaving = crowd.arrive(OTHER)
    assert leaving == []
    assert crowd.ask(guest, OTHER) is None
    crowd.answered(guest)
    crowd.leave(guests[0])
    assert crowd.ask(guest, OTHER) == []


def test_silent_connections_above_the_cap_block_no_health_check() -> None:
    crowd = Crowd(CAPS)
    full(crowd)
    silent = [arrived(crowd, ATTACKER) for _ in range(SPARE)]
    guest, leaving = crowd.arrive(OTHER)
    assert leaving == [silent[0]]
    assert guest in crowd


def test_at_the_cap_an_idle_known_client_makes_room_where_no_stranger_is_left() -> None:
    crowd = Crowd(CAPS)
    first, *_ = full(crowd)
    crowd.answered(first)
    assert crowd.arrive(OTHER)[1] == [first]


def test_connections_of_a_proxy_have_no_source_of_their_own() -> None:
    crowd = Crowd(CAPS)
    for number in range(CAPS.strangers):
        assert crowd.arrive(None)[1] == [], number


def test_a_request_over_a_proxy_counts_for_the_address_that_was_forwarded() -> None:
    crowd = Crowd(CAPS)
    for _ in range(CAPS.share):
        known(crowd, ATTACKER, MALLORY)
    proxied = arrived(crowd, None)
    assert crowd.ask(proxied, ATTACKER) is None
    crowd.answered(proxied)
    assert crowd.ask(proxied, OTHER) == []


def test_a_connection_of_a_proxy_counts_for_no_client_between_requests() -> None:
    crowd = Crowd(CAPS)
    for _ in range(3 * CAPS.share):
        guest = arrived(crowd, None)
        assert crowd.ask(guest, ATTACKER) == []
        assert crowd.recognize(guest, MALLORY) == []
        crowd.answered(guest)


def test_a_token_has_only_so_many_event_streams() -> None:
    crowd = Crowd(CAPS)
    guests = [known(crowd, source(number), MALLORY) for number in range(CAPS.share)]
    assert [crowd.follow(guest) for guest in guests] == [True] * CAPS.streams + [False]
    assert crowd.follow(known(crowd, OTHER, ANN))
    crowd.answered(guests[0])
    assert crowd.follow(guests[-1])
    crowd.leave(guests[1])
    crowd.ask(guests[0], source(0))
    assert crowd.follow(guests[0])


def test_the_next_request_of_a_pipeline_is_not_ended_by_the_one_before() -> None:
    crowd = Crowd(CAPS)
    guest = known(crowd, None, ANN)
    crowd.ask(guest, OTHER)
    crowd.recognize(guest, ANN)
    assert crowd.follow(guest)
    crowd.answered(guest)
    assert (guest.source, guest.token, guest.follows) == (OTHER, ANN, True)


@pytest.mark.parametrize(
    ("chosen", "descriptors", "connections"),
    [(None, 1_000_000, 1000), (None, 1024, 128), (None, 4, 8), (50, 1024, 50), (5000, 1024, 160), (5000, 4, 8)],
)
def test_the_cap_follows_the_descriptors_unless_a_lower_one_is_chosen(
    chosen: int | None, descriptors: int, connections: int
) -> None:
    assert caps_for(chosen, 3, descriptors) == Caps(connections, 3)


@pytest.mark.parametrize("chosen", [None, 1_000_000])
@pytest.mark.parametrize("descriptors", [256, 1024, 4096, 8192, 65_536, 1_048_576])
def test_http_leaves_a_quarter_of_the_kept_descriptors_to_the_rest(chosen: int | None, descriptors: int) -> None:
    assert caps_for(chosen, 3, descriptors).connections + SPARE <= kept(descriptors) * 3 // 4


class Visits(RuleBasedStateMachine):
    """In any order of events, every guest is counted, and no source or token exceeds its share."""

    guests: Bundle[Guest] = Bundle("guests")
    sources = st.sampled_from([None, ATTACKER, OTHER, "192.0.2.3"])

    def __init__(self) -> None:
        super().__init__()
        self.crowd = Crowd(CAPS)
        self.there: set[Guest] = set()

    def dismissed(self, leaving: list[Guest] | None) -> None:
        self.there -= set(leaving or ())

    @rule(target=guests, source=sources)
    def arrives(self, source: str | None) -> Guest:
        guest, leaving = self.crowd.arrive(source)
        self.there.add(guest)
        self.dismissed(leaving)
        return guest

    @rule(guest=guests, source=sources, token=st.sampled_from([None, MALLORY, ANN]), follows=st.booleans())
    def asks(self, guest: Guest, source: str | None, token: int | None, follows: bool) -> None:
        leaving = self.crowd.ask(guest, source if guest.proxied else guest.source)
        self.dismissed(leaving)
        if token is not None and leaving is not None:
            self.dismissed(self.crowd.recognize(guest, token))
            if follows:
                self.crowd.follow(guest)

    @rule(guest=guests)
    def is_answered(self, guest: Guest) -> None:
        if guest.answering:
            self.crowd.answered(guest)

    @rule(target=guests, guest=consumes(guests))
    def leaves(self, guest: Guest) -> object:
        self.crowd.leave(guest)
        self.there.discard(guest)
        return multiple()

    @invariant()
    def all_is_counted(self) -> None:
        crowd = self.crowd
        places = [*crowd._strangers, *crowd._known]
        assert {*places, *crowd._spare} == self.there
        assert len(places) + len(crowd._spare) == len(self.there)
        assert len(places) <= CAPS.connections
        assert len(crowd._spare) <= SPARE
        for counts, given in (
            (crowd._by_source, [guest.source for guest in places]),
            (crowd._by_token, [guest.token for guest in self.there]),
            (crowd._streams, [guest.token for guest in self.there if guest.follows]),
        ):
            assert counts == {each: given.count(each) for each in given if each is not None}
        assert all(count <= CAPS.share for counts in (crowd._by_source, crowd._by_token) for count in counts.values())
        assert all(count <= CAPS.streams for count in crowd._streams.values())


class TestVisits(Visits.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
