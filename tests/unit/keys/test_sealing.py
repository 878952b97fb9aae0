"""A sealed value opens only with the same secret and for the same place."""

from __future__ import annotations

import pytest

from keys.errors import NotOpened
from keys.sealing import Sealer

SECRET = b"a secret of the test, 32 bytes and more"
PLACE = "secret", "webhooks", "acme"


def test_a_sealed_value_is_opened_with_the_same_secret() -> None:
    sealed = Sealer(SECRET).seal(b"whsec_x", *PLACE)
    assert Sealer(SECRET).open(sealed, *PLACE) == b"whsec_x"
    assert b"whsec_x" not in sealed


def test_a_value_sealed_with_another_secret_is_not_opened() -> None:
    sealed = Sealer(SECRET).seal(b"whsec_x", *PLACE)
    with pytest.raises(NotOpened):
        Sealer(SECRET[1:]).open(sealed, *PLACE)


@pytest.mark.parametrize(
    "place",
    [
        ("secret", "webhooks", "globex"),
        ("secret", "other", "acme"),
        ("host key", "webhooks", "acme"),
        ("secret", "webhooksacme"),
        ("secret", "webhooks", "acme", ""),
    ],
)
def test_a_value_moved_to_another_place_is_not_opened(place: tuple[str, ...]) -> None:
    sealer = Sealer(SECRET)
    with pytest.raises(NotOpened):
        sealer.open(sealer.seal(b"whsec_x", *PLACE), *place)


def test_a_value_that_was_changed_anywhere_is_not_opened() -> None:
    sealer = Sealer(SECRET)
    sealed = sealer.seal(b"whsec_x", *PLACE)
    changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for each in (*changed, sealed[:-1], sealed[:5], b""):
        with pytest.raises(NotOpened):
            sealer.open(each, *PLACE)


def test_the_same_value_is_never_sealed_the_same_way_twice() -> None:
    sealer = Sealer(SECRET)
    assert len({sealer.seal(b"whsec_x", *PLACE) for _ in range(50)}) == 50
