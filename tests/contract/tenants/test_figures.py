"""Stored figures of tenants: each part on its own, and removed with the tenant."""

from __future__ import annotations

from engine.figures import Figures, Known, Pruned
from engine.store import Store
from tests.support.engines import OpenStore

FIVE = Figures(5, 1, None, 90, 1000, inviting=True, logged=7)
SIX = Figures(6, 1, 3, 90, 1000, inviting=False, logged=8)


async def test_figures_are_read_as_they_were_written(store: Store) -> None:
    known = Known(("look", FIVE), "sound", Pruned("1 90 1000", "2026-03-01T12:00:00.000Z"))
    await store.figures().write({"acme": known})
    assert await store.figures().read() == {"acme": known}


async def test_facts_that_are_not_new_stay_as_they_were(store: Store) -> None:
    await store.figures().write({"acme": Known(("look", FIVE), "sound", Pruned("what", None))})
    await store.figures().write({"acme": Known(figures=("other", SIX))})
    await store.figures().write({"acme": Known(pruned=Pruned("more", None))})
    assert await store.figures().read() == {"acme": Known(("other", SIX), "sound", Pruned("more", None))}


async def test_a_folder_that_cannot_be_used_is_not_stored_as_sound(store: Store) -> None:
    await store.figures().write({"acme": Known(sound="look")})
    await store.figures().write({"acme": Known(sound="")})
    assert await store.figures().read() == {"acme": Known()}


async def test_figures_of_an_unknown_tenant_are_left_out(engine: OpenStore) -> None:
    async with engine("acme", "globex") as store:
        news = {name: Known(sound="look") for name in ("acme", "initech", "globex")}
        await store.figures().write(news)
        await store.tenants().remove("globex")
        assert await store.figures().read() == {"acme": Known(sound="look")}
