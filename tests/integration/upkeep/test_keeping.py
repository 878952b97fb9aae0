"""Retention and stale feeds, on real databases and folders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from engine.nodes import ONLY_NODE, Node, OnlyNode
from ground.moments import rfc3339, utc_now
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.pause import Pause
from importer.rules.identity import BY_ADDRESS
from importer.rules.settings import ImportSettings
from importer.undo.undo import UndoJob, undo_import
from importer.worker.attempt import Starter
from importer.worker.pruning import Busy, prune, trim_copies
from importer.worker.results import KEPT
from importer.worker.worker import Worker
from server.notify.outbox import Outbox
from server.notify.service import Notifications
from server.tenants.feeds import Feed
from server.tenants.tenants import Tenants
from server.upkeep import keeping
from server.upkeep.counting import Counting
from server.upkeep.keeping import Keeper
from server.upkeep.metrics import Metrics
from server.upkeep.overview import Overview
from tests.support.importing import people
from tests.support.installation import open_tenants
from tests.support.queues import NOON, House, found, open_house, run_to
from tests.support.waiting import eventually

DAY = timedelta(days=1)


class Yard(House):
    """A tenant whose imports ran some time ago."""

    async def applied(self, text: str, age: timedelta) -> int:
        """Run an import of `text` that ended so long ago."""
        import_id = await self.upload(text)
        then = datetime.now(UTC) - age

        async def settings_of(tenant: str) -> ImportSettings:
            return ImportSettings()

        self.closing.clock = lambda: then
        worker = Worker(
            self.queue,
            self.closing,
            Starter(self.folder, self.users, settings_of, lambda: then, self.queue.checksums, archive=self.archive),
        )
        worker.start()
        try:

            async def ended() -> Entry | None:
                entry = await found(self.queue, import_id)
                return entry if entry.finished_at else None

            await eventually(ended, what="the end of the import")
        finally:
            await worker.stop(0)
        return import_id

    async def prune(self, retention_days: int = 90) -> None:
        now = datetime.now(UTC)
        await prune(
            *(self.queue, "acme", self.folder(), self.users()),
            retention_days=retention_days,
            now=now,
            archive=self.archive,
        )

    def undoing(self, import_id: int) -> UndoJob:
        return UndoJob("acme", import_id, "somebody", BY_ADDRESS, datetime.now(UTC))

    async def history(self) -> set[int]:
        """Return the imports that have history."""
        async with self.users().memory() as memory:
            return set(await memory.imports_with_history())

    async def remembered(self) -> set[int]:
        return await self.prune_effects()

    async def prune_effects(self, *imports: int) -> set[int]:
        """Delete the outcomes of these imports; return the imports whose outcomes are kept."""
        async with self.users().memory() as memory:
            return await memory.prune_effects(lambda _: imports)

    def uploads(self) -> set[str]:
        return self.stored.kept_names("acme", "uploads")


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with open_house(tmp_path, "acme", "globex") as house:
        yield Yard(house.stored, house.store)


async def test_expired_data_is_deleted_but_never_the_newest_import(yard: Yard) -> None:
    bad = people("ann").decode() + "Bob,Smith,nowhere\n"
    await yard.applied(bad, 200 * DAY)
    await yard.applied(people("ann", "bob").decode(), 150 * DAY)
    await yard.applied(people("ann", "bob", "cy").decode(), 120 * DAY)
    assert yard.stored.kept("acme", "messages/1.errors.csv")
    await yard.prune()
    assert await yard.history() == await yard.remembered() == {3}
    assert yard.uploads() == {"3.csv"}
    assert not [name for name in yard.stored.kept_names("acme", "messages") if name.startswith("1.")]


async def test_users_whose_shared_record_was_pruned_have_no_history_of_it(yard: Yard) -> None:
    await yard.applied(people("ann", "bob", "cy").decode(), 200 * DAY)
    await yard.applied(people("ann", "bob", "cy", "dee", "eve", job_title="Cook").decode(), DAY)
    await yard.prune()
    async with yard.users().history(BY_ADDRESS) as history:
        assert await history.page_of_import(1) == ([], None)
        pages = [await history.page_of_user(f"{name}@example.com") for name in ("ann", "cy", "dee", "eve")]
    fields = [[change["field"] for change in changes] for changes, _ in pages]
    assert fields == [["job_title"], ["job_title"], ["created"], ["created"]]


async def test_retention_never_deletes_what_the_next_undo_needs(yard: Yard) -> None:
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("ann", "bob").decode(), 150 * DAY)
    await yard.applied(people("ann", "bob").decode(), DAY)
    await yard.prune()
    assert await yard.remembered() == {2, 3}
    outcome = await undo_import(yard.undoing(2), yard.users(), yard.folder().messages)
    assert outcome.state is ImportState.UNDONE
    async with yard.users().snapshot() as directory:
        states = {user["email"]: user["state"] async for page in directory.all_users() for user in page}
    assert states == {"ann@example.com": "active", "bob@example.com": "deactivated"}
    with pytest.raises(Refused, match="no longer kept"):
        await undo_import(yard.undoing(1), yard.users(), yard.folder().messages)


async def test_data_that_has_not_expired_stays(yard: Yard) -> None:
    for number, age in enumerate((91, 89, 1)):
        await yard.applied(people(*"abcd"[: number + 1]).decode(), age * DAY)
    await yard.prune()
    assert await yard.history() == await yard.remembered() == {2, 3}
    assert yard.uploads() == {"2.csv", "3.csv"}


@pytest.mark.logs("imports_pruned")
async def test_an_import_stays_in_the_list_while_its_report_is_in_results(yard: Yard) -> None:
    old = [await yard.upload() for _ in range(KEPT + 2)]
    yard.closing.clock = lambda: datetime.now(UTC) - 200 * DAY
    for import_id in old:
        await run_to(yard.queue, import_id, ImportState.FAILED)
    await yard.prune()
    assert [entry.id for entry in await yard.queue.page("acme", limit=100)] == old[:1:-1]
    assert yard.uploads() == set()


async def test_an_old_dry_run_stays_in_the_list_while_its_report_is_in_results(yard: Yard) -> None:
    dry = await yard.upload(dry_run=True)
    await run_to(yard.queue, dry, ImportState.COMPLETED)
    for _ in range(KEPT):
        await run_to(yard.queue, await yard.upload(), ImportState.FAILED)
    await yard.prune()
    assert await yard.queue.get("acme", dry)
    assert yard.uploads() == set()


async def test_an_import_that_can_be_undone_stays_in_the_list_without_its_report(yard: Yard) -> None:
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("ann").decode(), 190 * DAY)
    for _ in range(KEPT):
        await run_to(yard.queue, await yard.upload(), ImportState.FAILED)
    await yard.prune()
    assert await yard.queue.get("acme", 1)
    outcome = await undo_import(yard.undoing(1), yard.users(), yard.folder().messages)
    assert outcome.state is ImportState.UNDONE


async def test_an_expired_undone_import_is_deleted_and_the_previous_one_can_be_undone(yard: Yard) -> None:
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("ann", "bob").decode(), 150 * DAY)
    await undo_import(yard.undoing(2), yard.users(), yard.folder().messages)
    await yard.prune()
    assert await yard.history() == await yard.remembered() == {1}
    outcome = await undo_import(yard.undoing(1), yard.users(), yard.folder().messages)
    assert outcome.state is ImportState.UNDONE


async def test_a_tenant_is_pruned_while_an_import_of_another_waits(yard: Yard) -> None:
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("bob").decode(), 200 * DAY)
    await yard.upload(people("cy").decode(), "globex")
    await yard.prune()
    assert await yard.history() == {2}


async def test_nothing_is_deleted_while_an_import_waits_or_runs(yard: Yard) -> None:
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("bob").decode(), 200 * DAY)
    await yard.upload(people("cy").decode())
    with pytest.raises(Busy):
        await yard.prune()
    await yard.queue.claim("acme", 3)
    with pytest.raises(Busy):
        await yard.prune()
    assert await yard.history() == {1, 2}


async def test_imports_that_wait_because_of_a_pause_do_not_stop_retention(watch: Watch) -> None:
    yard = Yard(watch.house.stored, watch.tenants.store)
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("bob").decode(), 200 * DAY)
    await yard.upload(people("cy").decode())
    assert await watch.keeper.prune(["acme"]) == ["acme"]
    await watch.tenants.change_settings("acme", {"paused_until": rfc3339(utc_now() + 10 * DAY)})
    assert await watch.keeper.prune(["acme"]) == []
    assert await yard.history() == {2}
    assert (await found(yard.queue, 3)).state is ImportState.QUEUED


async def test_a_deletion_that_a_crash_interrupted_is_completed_the_next_time(yard: Yard) -> None:
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.applied(people("bob").decode(), 200 * DAY)
    await yard.prune_effects(1)
    await yard.prune()
    assert await yard.history() == {2}


async def test_a_history_longer_than_a_step_is_deleted_completely(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importer.worker.pruning.STEP", 3)
    await yard.applied(people(*"abcdefgh").decode(), 200 * DAY)
    await yard.applied(people("ann").decode(), 200 * DAY)
    await yard.prune()
    assert await yard.history() == {2}


@pytest.mark.logs("copies_removed")
async def test_copies_above_kept_bytes_are_deleted_and_their_imports_can_be_undone(yard: Yard) -> None:
    for names in ("a", "ab", "abc"):
        await yard.applied(people(*names).decode(), DAY)
    yard.stored.unpublish("acme", "/sync_users.csv")
    await trim_copies(yard.queue, "acme", yard.folder(), archive=yard.archive, kept_bytes=0)
    assert yard.uploads() == {"3.csv"}
    assert await yard.history() == await yard.remembered() == {1, 2, 3}
    for import_id in (3, 2):
        outcome = await undo_import(yard.undoing(import_id), yard.users(), yard.folder().messages)
        assert outcome.state is ImportState.UNDONE


async def test_a_copy_that_is_the_visible_file_is_neither_counted_nor_deleted(yard: Yard) -> None:
    for names in ("ab", "cd"):
        await yard.applied(people(*names).decode(), DAY)
    failed = await yard.upload("x" * 1000)
    await run_to(yard.queue, failed, ImportState.FAILED)
    size = len(yard.copy(1) or b"")
    await trim_copies(yard.queue, "acme", yard.folder(), archive=yard.archive, kept_bytes=2 * size)
    assert yard.uploads() == {"1.csv", "2.csv", "3.csv"}
    yard.stored.unpublish("acme", "/sync_users.csv")
    await trim_copies(yard.queue, "acme", yard.folder(), archive=yard.archive, kept_bytes=1000)
    assert yard.uploads() == {"2.csv"}


@pytest.mark.logs("copies_removed")
async def test_the_list_before_the_visible_one_is_deleted_above_kept_bytes(yard: Yard) -> None:
    for names in ("abc", "ab"):
        await yard.applied(people(*names).decode(), DAY)
    size = len(yard.copy(1) or b"")
    await trim_copies(yard.queue, "acme", yard.folder(), archive=yard.archive, kept_bytes=size - 1)
    assert yard.uploads() == {"2.csv"}


async def test_copies_of_waiting_imports_stay_when_others_are_deleted(yard: Yard) -> None:
    for _ in range(2):
        await run_to(yard.queue, await yard.upload(), ImportState.FAILED)
    held = await yard.upload()
    await run_to(yard.queue, held, ImportState.HELD)
    waiting = await yard.upload()
    yard.stored.unpublish("acme", "/sync_users.csv")
    await trim_copies(yard.queue, "acme", yard.folder(), archive=yard.archive, kept_bytes=0)
    assert yard.uploads() == {f"{held}.csv", f"{waiting}.csv"}


# The server, as time passes


class Told:
    """The notifications about stale feeds that a keeper asked for."""

    def __init__(self) -> None:
        self.stale: list[Feed] = []

    async def notify_stale(self, feed: Feed) -> None:
        self.stale.append(feed)

    async def close_stale(self, feed: Feed) -> None:
        pass

    async def notify_pause_ending(self, tenant: str, pause: Pause, files: int) -> None:
        pass


class Follower(OnlyNode):
    """A server that does not lead."""

    shares = True

    def leads(self) -> bool:
        return False


@dataclass
class Watch:
    """A keeper of one tenant, and its notifications."""

    tenants: Tenants
    house: House
    told: list[Feed]
    keeper: Keeper
    now: datetime

    async def metrics(self, node: Node = ONLY_NODE) -> str:
        metrics = Metrics()
        await Counting(metrics, self.tenants, self.house.queue, node=node).count()
        return metrics.render().decode()


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    async with open_tenants(tmp_path) as tenants, open_house(tmp_path) as house:
        await tenants.add("acme")
        watch: Watch
        told = Told()
        keeper = Keeper(tenants, house.queue, lambda: watch.now, told)
        watch = Watch(tenants, house, told.stale, keeper, datetime.now(UTC))
        yield watch


@pytest.mark.logs("feed_stale")
@pytest.mark.parametrize(("days", "shown"), [(1, "1 day"), (3, "3 days")])
async def test_a_stale_feed_is_logged_and_notified(
    watch: Watch, caplog: pytest.LogCaptureFixture, days: int, shown: str
) -> None:
    await watch.tenants.change_settings("acme", {"stale_after_days": days})
    await watch.keeper.notify_stale_feeds()
    assert watch.told == []
    watch.now += days * DAY
    for _ in range(2):
        await watch.keeper.notify_stale_feeds()
    assert {(feed.tenant, feed.last_applied_at, feed.stale_after_days) for feed in watch.told} == {
        ("acme", None, days)
    }
    assert [record.message for record in caplog.records] == [f"No file of acme was applied for {shown}."]


async def test_a_stale_feed_is_mailed_once_until_a_file_is_applied(watch: Watch) -> None:
    settings = watch.house.stored.settings()
    outbox = Outbox(watch.tenants.store.outbox())
    tell = Notifications(settings, watch.tenants, outbox, Metrics())

    async def look_again_and_again(days: int) -> int:
        keeper = Keeper(watch.tenants, watch.house.queue, lambda: datetime.now(UTC) + days * DAY, tell)
        for _ in range(3):
            await keeper.notify_stale_feeds()
        return len(await watch.tenants.store.outbox().newest("acme", 10))

    await watch.tenants.change_settings("acme", {"stale_after_days": 3, "notify_email": "hr@example.com"})
    assert await look_again_and_again(0) == 0
    assert await look_again_and_again(3) == 1
    await run_to(watch.house.queue, await watch.house.upload(), ImportState.COMPLETED)
    assert await look_again_and_again(100) == 2
    assert await look_again_and_again(101) == 2
    yesterday = -(datetime.now(UTC) - NOON).days - 1
    assert await look_again_and_again(yesterday) == 2
    assert await look_again_and_again(3) == 3, "the clock had stepped forward: what it said then was not so"
    assert await look_again_and_again(3) == 3


async def test_a_paused_feed_sends_no_stale_notification_and_counts_anew_at_its_end(watch: Watch) -> None:
    until = rfc3339(watch.now + 10 * DAY)
    await watch.tenants.change_settings("acme", {"stale_after_days": 3, "paused_until": until})
    for days, told in ((0, 0), (4, 0), (9.9, 0), (12.9, 0), (13.1, 1)):
        watch.keeper._clock = lambda days=days: datetime.now(UTC) + days * DAY  # type: ignore[misc]
        await watch.keeper.notify_stale_feeds()
        assert len(watch.told) == told, f"after {days} days"
    assert watch.told[0].stale


async def test_the_overview_knows_of_the_pause_of_a_feed(watch: Watch) -> None:
    await watch.tenants.change_settings("acme", {"stale_after_days": 3})
    watch.house.stored.date_tenants(rfc3339(watch.now - 2 * DAY))
    await watch.tenants.change_settings("acme", {"paused_until": rfc3339(watch.now + 10 * DAY)})
    watch.now += 4 * DAY
    counting = Counting(Metrics(), watch.tenants, watch.house.queue, figures=watch.keeper.figures)
    overview = Overview(watch.tenants, watch.house.queue, counting, dict, lambda: watch.now)
    (before,) = await overview.tenants()
    assert before.feed.stale, "its pauses were not read yet"
    await watch.keeper.notify_stale_feeds()
    (after,) = await overview.tenants()
    assert (after.feed.stale, after.feed.paused) == (False, True)
    assert watch.told == []
    await overview.close()


@pytest.mark.logs("pauses_unread")
async def test_a_feed_whose_pauses_cannot_be_read_is_not_called_stale(watch: Watch) -> None:
    await watch.tenants.change_settings("acme", {"stale_after_days": 3})
    watch.now += 4 * DAY
    await watch.keeper.figures.renew(0)
    with watch.house.stored.without("settings_changes", "acme"):
        await watch.keeper.notify_stale_feeds()
        assert watch.told == []
    await watch.keeper.notify_stale_feeds()
    assert [feed.tenant for feed in watch.told] == ["acme"]


async def test_metrics_show_whether_a_feed_is_stale(watch: Watch, tmp_path: Path) -> None:
    assert "headcount_feed_stale{" not in await watch.metrics()
    await watch.tenants.change_settings("acme", {"stale_after_days": 3})
    assert 'headcount_feed_stale{tenant="acme"} 0.0' in await watch.metrics()
    watch.house.stored.date_tenants("2020-01-01T00:00:00.000Z")
    assert 'headcount_feed_stale{tenant="acme"} 1.0' in await watch.metrics()
    assert "headcount_feed_stale{" not in await watch.metrics(Follower()), "another server shows it"


async def test_the_server_deletes_expired_data_at_its_start(watch: Watch) -> None:
    for _ in range(2):
        import_id = await watch.house.upload()
        await run_to(watch.house.queue, import_id, ImportState.COMPLETED)
    copies = partial(watch.house.stored.kept_names, "acme", "uploads")
    watch.now += 100 * DAY
    watch.keeper.start()
    try:
        await eventually(lambda: copies() == {"2.csv"}, what="the old copy to go")
    finally:
        await watch.keeper.stop()


@pytest.mark.logs("prune_failed")
async def test_a_broken_tenant_does_not_stop_the_pruning_of_others(watch: Watch) -> None:
    await watch.tenants.add("globex")
    with watch.house.stored.broken("acme"):
        assert await watch.keeper.prune(["acme", "globex"]) == []


@pytest.mark.logs("users_uncounted")
async def test_users_that_cannot_be_counted_leave_the_other_metrics(watch: Watch) -> None:
    with watch.house.stored.without("users", "acme"):
        assert await watch.metrics()


@pytest.mark.logs("feed_untold")
async def test_a_notification_about_a_feed_that_fails_is_retried(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watch.tenants.change_settings("acme", {"stale_after_days": 3})
    watch.now += 4 * DAY

    async def fails(feed: Feed) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(watch.keeper._notifier, "notify_stale", fails)
        await watch.keeper.notify_stale_feeds()
    await watch.keeper.notify_stale_feeds()
    assert [feed.tenant for feed in watch.told] == ["acme"]


@pytest.mark.logs("feeds_unseen")
async def test_a_failed_check_for_stale_feeds_is_repeated(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "LOOK_AT_FEEDS_S", 0.01)
    await watch.tenants.change_settings("acme", {"stale_after_days": 3})
    await watch.keeper.notify_stale_feeds()
    watch.now += 4 * DAY
    with watch.house.stored.without("tenants"):
        watch.keeper.start()
        await eventually(lambda: "The check for stale feeds failed" in caplog.text)
    await eventually(lambda: watch.told, what="the feed to be told of")
    await watch.keeper.stop()


async def test_the_server_deletes_copies_above_kept_bytes_when_an_import_ends(watch: Watch) -> None:
    await watch.tenants.change_settings("acme", {"kept_bytes": 3})
    watch.keeper.start()
    try:
        await eventually(lambda: watch.keeper._all_due_at > 0, what="the daily look to be over")
        for _ in range(3):
            ended = await run_to(watch.house.queue, await watch.house.upload(), ImportState.COMPLETED)
        watch.house.closing._watcher = watch.keeper
        await watch.house.closing._over(ended)
        copies = partial(watch.house.stored.kept_names, "acme", "uploads")
        # The third copy is also the visible file, and the newest.
        await eventually(lambda: copies() == {"2.csv", "3.csv"}, what="a copy to go")
    finally:
        await watch.keeper.stop()


async def test_an_import_of_a_tenant_removed_just_now_logs_no_error(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    await watch.tenants.remove("acme")
    assert await watch.keeper.prune(["acme"]) == []
    assert caplog.records == []
