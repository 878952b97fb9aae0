"""A pause of a feed keeps files from being imported, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from importer.model import FileFacts, ImportState
from importer.queue.entry import Entry, Waiting
from importer.queue.order import next_turn, superseded
from importer.queue.pause import Pause, in_the_way, of_pause, waits_by
from importer.requests import Approval, Undo
from importer.rules.settings import ImportSettings
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantSettings
from tests.unit.queue.test_order import entry

UNTIL = datetime(2026, 12, 31, 8, tzinfo=UTC)
PAUSE = Pause(UNTIL, "Migration")


def turn(*waiting: Waiting, whole: bool = False) -> tuple[int | None, list[tuple[int, int]]]:
    decided = next_turn(waiting, complete_lists=whole, now=100.0, pause=PAUSE)
    return decided.run.id if decided.run else None, [(old.id, new.id) for old, new in decided.superseded]


def approved(number: int) -> Waiting:
    return replace(entry(number), approved=True)


def test_a_paused_import_does_not_run() -> None:
    assert turn(entry(1), entry(2, fix=True)) == (None, [])


def test_dry_runs_approvals_and_undo_pass_a_paused_import() -> None:
    for other in (entry(2, dry=True), entry(2, dry=True, trial=True), entry(2, undo=True), approved(2)):
        assert turn(entry(1), other) == (2, [])


def test_a_newer_complete_list_supersedes_an_older_one_during_a_pause() -> None:
    assert turn(entry(1), entry(2), entry(3), whole=True) == (None, [(1, 3), (2, 3)])


def test_an_approved_import_runs_before_a_newer_paused_list() -> None:
    waiting = (approved(1), entry(2))
    assert turn(*waiting, whole=True) == (1, [])
    assert superseded(waiting, complete_lists=True, pause=PAUSE) == []
    assert superseded(waiting, complete_lists=True) == [waiting]


def test_a_paused_list_supersedes_no_held_import() -> None:
    assert turn(entry(1, "held"), entry(2), whole=True) == (None, [])


def test_an_approved_import_that_has_to_wait_keeps_its_place_during_a_pause() -> None:
    assert turn(entry(1), replace(approved(2), not_before=101.0), entry(3, dry=True)) == (None, [])


def test_the_message_of_a_paused_import_says_until_when_and_why() -> None:
    assert PAUSE.message == "Paused until 2026-12-31 08:00 UTC: Migration"
    assert Pause(UNTIL.astimezone(timezone(timedelta(hours=5)))).message == "Paused until 2026-12-31 08:00 UTC."
    assert of_pause(PAUSE.message)
    assert not of_pause("Not yet: the disk is full. The server tries again.")
    assert not of_pause(None)


def test_an_import_that_runs_or_was_decided_is_in_the_way_of_an_undo_during_a_pause() -> None:
    one = Entry("acme", 1, ImportState.QUEUED, False, 1, "/sync_users.csv", FileFacts("sync_users.csv", 1), "2026")
    assert not in_the_way(PAUSE, one)
    assert in_the_way(None, one)
    assert in_the_way(PAUSE, replace(one, state=ImportState.RUNNING))
    assert in_the_way(PAUSE, replace(one, approval=Approval("Ann", "2026", (), frozenset())))
    assert in_the_way(PAUSE, replace(one, undo=Undo("Ann", "2026")))
    assert not waits_by(PAUSE, replace(one, dry_run=True))


def test_the_settings_say_a_pause_until_its_time_has_come() -> None:
    settings = TenantSettings(paused_until="2026-12-31T09:00:00+01:00", paused_because="Migration")
    assert pause_of(settings, UNTIL - timedelta(seconds=1)) == PAUSE
    assert pause_of(settings, UNTIL) is None
    assert pause_of(TenantSettings(paused_because="Migration"), UNTIL) is None
    assert pause_of(ImportSettings(), UNTIL) is None
