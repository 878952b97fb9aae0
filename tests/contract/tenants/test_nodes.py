"""A server among those on the same data: one of them leads, and the sessions of all count."""

from __future__ import annotations

from tests.support.engines import OpenStore
from tests.support.waiting import eventually


async def test_the_only_server_leads_and_lets_go_of_none(engine: OpenStore) -> None:
    async with engine("acme", serving=True) as store:
        await eventually(store.node.leads, what="the server to lead")
        await store.node.bury(0.0)
        await store.node.bury(0.0)
        assert store.node.leads()


async def test_a_session_that_ended_leaves_room_for_another(engine: OpenStore) -> None:
    async with engine("acme", serving=True) as store:
        sessions = store.sessions()
        for _ in range(3):
            number = await sessions.open("acme", 1)
            assert number is not None
            await sessions.agree()
            await sessions.close(number)
        assert sessions is store.sessions()


async def test_a_server_that_shares_its_data_opens_only_so_many_sessions(engine: OpenStore) -> None:
    async with engine("acme", "globex", serving=True) as store:
        sessions = store.sessions()
        for _ in range(2):
            assert await sessions.open("acme", 2) is not None
        await sessions.agree()
        assert (await sessions.open("acme", 2) is None) == store.node.shares
        assert await sessions.open("globex", 2) is not None
