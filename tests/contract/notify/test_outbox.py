"""The stored outbox: each topic is sent once, each try is counted, and no message waits forever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.outbox import Message
from engine.store import Store
from engine.tenants import Tenant
from ground.moments import rfc3339
from importer.queue.notices import Channel, Notice
from server.notify.outbox import Outbox
from tests.support.engines import SINCE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Sender:
    """Sends messages, with a clock that is set by hand."""

    def __init__(self, store: Store) -> None:
        self.now = NOON
        self.outbox = Outbox(store.outbox(), lambda: self.now)

    async def put(self, *topics: str, tenant: str = "acme", channel: Channel = Channel.MAIL) -> None:
        await self.outbox.put([Notice(tenant, channel, topic, '{"text": "hello"}') for topic in topics])

    async def due(self, channel: Channel = Channel.MAIL) -> list[Message]:
        return await self.outbox.due(channel)

    async def states(self) -> list[tuple[str, str]]:
        """Return the topics with their states, oldest first."""
        return [(each.topic, each.state) for each in reversed(await self.outbox.newest("acme", 9))]


@pytest.fixture
def sender(store: Store) -> Sender:
    return Sender(store)


async def test_each_channel_sends_a_topic_once(sender: Sender) -> None:
    for channel in Channel:
        await sender.put("import 1", "import 1", channel=channel)
        await sender.put("import 1", channel=channel)
    assert [each.topic for channel in Channel for each in await sender.due(channel)] == ["import 1"] * 2
    assert await sender.outbox.lengths() == {Channel.MAIL: 1, Channel.WEBHOOK: 1}


async def test_the_owed_messages_of_all_tenants_are_those_that_wait_the_oldest_first(
    store: Store, sender: Sender
) -> None:
    await store.tenants().add(Tenant("globex", SINCE, 0))
    await sender.put("import 1", "import 2")
    await sender.put("import 9", tenant="globex", channel=Channel.WEBHOOK)
    await sender.outbox.sent((await sender.due())[0])
    owed = await sender.outbox.owed(9)
    assert [(each.tenant, each.topic) for each in owed] == [("acme", "import 2"), ("globex", "import 9")]
    assert await sender.outbox.owed(1) == owed[:1]


async def test_only_the_oldest_message_of_each_tenant_is_due(store: Store, sender: Sender) -> None:
    await store.tenants().add(Tenant("globex", SINCE, 0))
    await sender.put("import 1", "import 2")
    await sender.put("import 9", tenant="globex")
    assert [(each.tenant, each.topic) for each in await sender.due()] == [
        ("acme", "import 1"),
        ("globex", "import 9"),
    ]


async def test_a_message_is_the_same_at_each_try_and_waits_longer_after_each(sender: Sender) -> None:
    await sender.put("import 1")
    (message,) = await sender.due()
    for attempts, wait_s in ((1, 60), (2, 120)):
        begun = await sender.outbox.begin(message)
        assert begun
        assert (begun.message_id, begun.attempts, begun.content) == (message.message_id, attempts, {"text": "hello"})
        sender.now += timedelta(seconds=wait_s - 1)
        assert await sender.due() == []
        sender.now += timedelta(seconds=1)
        (message,) = await sender.due()


async def test_a_try_that_could_not_be_made_does_not_count(sender: Sender) -> None:
    await sender.put("import 1")
    begun = await sender.outbox.begin((await sender.due())[0])
    assert begun
    await sender.outbox.put_off(begun, 10)
    assert await sender.due() == []
    sender.now += timedelta(seconds=10)
    assert [each.attempts for each in await sender.due()] == [0]


async def test_an_ended_message_is_not_sent_again_and_ends_once(sender: Sender) -> None:
    await sender.put("import 1", "import 2")
    (message,) = await sender.due()
    await sender.outbox.sent(message)
    await sender.outbox.dropped(message, "too late")
    assert await sender.outbox.begin(message) is None
    assert await sender.states() == [("import 1", "sent"), ("import 2", "waiting")]
    assert [each.topic for each in await sender.due()] == ["import 2"]


async def test_a_closed_topic_can_be_sent_again_and_its_waiting_messages_are_dropped(sender: Sender) -> None:
    await sender.put("stale")
    await sender.outbox.close_topic("acme", "stale")
    await sender.put("stale")
    (first, second) = await sender.states()
    assert first[1] == "dropped"
    assert second == ("stale", "waiting")


async def test_all_messages_that_wait_are_dropped_at_once(store: Store, sender: Sender) -> None:
    await store.tenants().add(Tenant("globex", SINCE, 0))
    await sender.put("import 1", "import 2")
    await sender.put("import 9", tenant="globex", channel=Channel.WEBHOOK)
    await sender.outbox.sent((await sender.due())[0])
    await sender.outbox.drop_waiting("sending was off")
    assert await sender.states() == [("import 1", "sent"), ("import 2", "dropped")]
    assert await sender.outbox.owed(9) == []
    (dropped,) = await sender.outbox.newest("globex", 9)
    assert (dropped.state, dropped.error, dropped.finished_at) == ("dropped", "sending was off", rfc3339(NOON))
    await sender.put("import 2")
    assert await sender.due() == [], "its topic was used"


async def test_a_message_not_sent_in_a_week_of_running_is_given_up(sender: Sender) -> None:
    await sender.put("import 1")
    sender.now += timedelta(days=300)
    await sender.outbox.prune(6 * 86400)
    assert await sender.states() == [("import 1", "waiting")]
    await sender.outbox.prune(86400)
    assert await sender.states() == [("import 1", "given_up")]


async def test_messages_that_ended_long_ago_are_deleted_except_for_stale_feeds(sender: Sender) -> None:
    await sender.put("import 1", "stale since 2026-02-01", "import 2")
    for _ in range(2):
        await sender.outbox.sent((await sender.due())[0])
    sender.now += timedelta(days=31)
    await sender.outbox.prune(0)
    assert await sender.states() == [("stale since 2026-02-01", "sent"), ("import 2", "waiting")]


async def test_the_reason_of_a_failed_try_is_stored_and_an_end_is_final(store: Store, sender: Sender) -> None:
    await sender.put("import 1")
    (message,) = await sender.due()
    kept, at = store.outbox(), "2026-03-01T12:00:00.000Z"
    await kept.note(message.id, "550 unknown")
    (noted,) = await sender.due()
    assert noted.error == "550 unknown"
    await kept.end(message.id, "dropped", "too late", now=at)
    await kept.end(message.id, "sent", None, now=at)
    (ended,) = await kept.newest("acme", 9)
    assert (ended.state, ended.error, ended.finished_at) == ("dropped", "too late", at)
