"""Dry runs from the page: they test a file or settings and change no file, no user and no other import."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from ground.moments import rfc3339, utc_now
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.requests import DryRunRequest
from importer.rules.settings import ImportSettings
from importer.worker.attempt import Starter, known_end
from importer.worker.closing import Closing
from importer.worker.recovery import recover, remove_leftovers
from importer.worker.worker import Worker
from server.hooks import receiving
from server.hooks.dry_runs import NO_NAME, WAITING_MOST, DryRuns, tidy_name
from server.tenants.settings import TenantRefused
from tests.support.importing import people, sheet
from tests.support.queues import NOON, Watching, found
from tests.support.sftp import SftpHouse
from tests.support.waiting import eventually


class Desk:
    """A tenant with its files, the queue, and a worker that runs on request."""

    def __init__(self, house: SftpHouse, queue: Queue) -> None:
        self.tenants = house.tenants
        self.queue = queue
        self.stored = house.stored
        self.closing = Closing(
            *(queue, self.tenants.folder, Watching()), archive=self.tenants.archive, results=self.tenants.results
        )
        self.trials = DryRuns(self.tenants, queue, self.closing, house.listener.files)

    async def settings_of(self, tenant: str) -> ImportSettings:
        return await self.tenants.settings(tenant)

    async def ended(self, import_id: int) -> Entry:
        """Run all waiting imports; return this one."""
        worker = Worker(
            self.queue,
            self.closing,
            Starter(
                *(self.tenants.folder, self.tenants.users, self.settings_of, utc_now, self.queue.checksums),
                archive=self.tenants.archive,
            ),
        )
        worker.start()
        try:
            await eventually(lambda: self._is_over(import_id))
        finally:
            await worker.stop(5)
        return await found(self.queue, import_id)

    async def _is_over(self, import_id: int) -> bool:
        return (await found(self.queue, import_id)).finished_at is not None

    async def uploaded(self, content: bytes, *, dry_run: bool = False) -> int:
        """Queue a file as an upload over SFTP does; return the id of its import."""
        path = "/test/sync_users.csv" if dry_run else "/sync_users.csv"
        number = await self.queue.arriving(
            "acme", path, size=len(content), written=None, uploaded_at=NOON, dry_run=dry_run
        )
        self.stored.keep_copy("acme", number, content)
        await self.queue.landed("acme", number)
        return number

    async def imported(self, content: bytes) -> int:
        number = await self.uploaded(content)
        await self.ended(number)
        return number

    async def users(self) -> list[Sequence[Any]]:
        return await self.stored.company("acme").sql("SELECT email, state, external_id FROM users ORDER BY id")

    def lying_about(self) -> list[list[Any]]:
        """Return the files of the tenant that no report is: visible ones, unfinished ones and copies."""
        visible = [each for folder in ("/", "/test") for each in self.stored.names("acme", folder)]
        visible = [each for each in visible if each not in ("results", "test")]  # an engine may make them later
        return [visible, self.stored.unfinished("acme"), sorted(self.stored.kept_names("acme", "uploads"))]


@pytest.fixture
def desk(house: SftpHouse) -> Desk:
    return Desk(house, house.tenants.store.imports())


async def chunks(content: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def cut(content: bytes) -> AsyncIterator[bytes]:
    yield content[:10]
    raise ConnectionResetError("the browser went away")


async def test_a_dry_run_of_a_file_from_the_page_changes_no_user(desk: Desk) -> None:
    await desk.imported(people("ann"))
    before, lay = await desk.users(), desk.lying_about()
    number = await desk.trials.of_file("acme", "Staff list.csv", chunks(people("ann", "bo")), "olga")
    entry = await desk.ended(number)
    assert (entry.state, entry.dry_run, entry.path) == (ImportState.COMPLETED, True, "/test/Staff list.csv")
    assert entry.file.name == "Staff list.csv"
    assert entry.trial == DryRunRequest("olga")
    assert entry.outcome
    assert (entry.outcome.counts.created, entry.outcome.counts.unchanged) == (1, 1)
    assert await desk.users() == before
    assert desk.lying_about() == lay


async def test_dry_runs_from_the_page_and_over_sftp_have_the_same_report_fields(desk: Desk) -> None:
    tried = (
        await desk.ended(await desk.trials.of_file("acme", "sync_users.csv", chunks(people("ann")), "olga"))
    ).report()
    sent = (await desk.ended(await desk.uploaded(people("ann"), dry_run=True))).report()
    assert tried.to_json().keys() == sent.to_json().keys()


async def test_a_browser_that_goes_away_leaves_nothing_behind(desk: Desk) -> None:
    lay = desk.lying_about()
    with pytest.raises(ConnectionResetError):
        await desk.trials.of_file("acme", "x.csv", cut(people("ann")), "olga")
    assert desk.lying_about() == lay
    assert await desk.queue.under_way("acme") == []
    assert await desk.queue.page("acme") == []


async def test_an_upload_from_the_page_that_stalls_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "STALLED_S", 0.01)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"first_name"
        await asyncio.Event().wait()

    with pytest.raises(Refused, match="no data came for") as caught:
        await desk.trials.of_file("acme", "x.csv", stalled(), "olga")
    assert caught.value.code == "upload_stalled"


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        (
            {"max_file_bytes": "2KiB"},
            "file_too_large",
            "the file is too large: the limit is 2.0 KiB (max_file_bytes)",
        ),
        ({"quota_bytes": "2KiB"}, "quota_exceeded", "exceeds the storage quota of 2.0 KiB"),
    ],
)
async def test_a_file_above_a_limit_is_refused_with_a_sentence(
    desk: Desk, settings: dict[str, Any], code: str, sentence: str
) -> None:
    await desk.tenants.change_settings("acme", settings)
    lay = desk.lying_about()
    with pytest.raises(Refused) as caught:
        await desk.trials.of_file("acme", "x.csv", chunks(b"x" * 2049, 100), "olga")
    assert caught.value.code == code
    assert sentence in caught.value.message
    assert desk.lying_about() == lay
    await desk.trials.of_file("acme", "x.csv", chunks(b"x" * 2048, 100), "olga")


async def test_files_of_waiting_dry_runs_count_against_the_quota(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"quota_bytes": 1000})
    await desk.trials.of_file("acme", "x.csv", chunks(b"x" * 600, 100), "olga")
    with pytest.raises(Refused, match="exceeds the storage quota"):
        await desk.trials.of_file("acme", "y.csv", chunks(b"x" * 600, 100), "olga")
    await desk.trials.of_file("acme", "y.csv", chunks(b"x" * 400, 100), "olga")


async def test_a_full_disk_is_reported_and_leaves_nothing_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lay = desk.lying_about()
    monkeypatch.setattr("server.files.drafts.os.pwrite", full)
    with pytest.raises(Refused, match="disk of the server is full"):
        await desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga")
    monkeypatch.undo()
    assert desk.lying_about() == lay


async def test_only_ten_dry_runs_of_a_tenant_wait_at_once(desk: Desk) -> None:
    await desk.imported(people("ann"))
    for _ in range(WAITING_MOST - 1):
        await desk.trials.of_settings("acme", {}, "olga")
    await desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga")
    for again in (
        desk.trials.of_settings("acme", {}, "olga"),
        desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga"),
    ):
        with pytest.raises(Refused, match="dry runs wait already") as caught:
            await again
        assert caught.value.code == "too_many_trials"
    await desk.ended((await desk.queue.page("acme", limit=1))[0].id)
    await desk.trials.of_settings("acme", {}, "olga")


async def test_a_dry_run_is_refused_while_too_many_imports_wait(desk: Desk) -> None:
    await desk.imported(people("ann"))
    await desk.tenants.change_settings("acme", {"max_waiting_imports": 2})
    await desk.uploaded(people("ann"))
    await desk.trials.of_settings("acme", {}, "olga")
    lay = desk.lying_about()
    for again in (
        desk.trials.of_settings("acme", {}, "olga"),
        desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga"),
    ):
        with pytest.raises(Refused, match="2 imports wait already") as caught:
            await again
        assert caught.value.code == "too_many_waiting"
    assert desk.lying_about() == lay


async def test_a_dry_run_is_not_refused_because_of_imports_that_a_pause_keeps_waiting(desk: Desk) -> None:
    await desk.imported(people("ann"))
    until = rfc3339(utc_now() + timedelta(days=1))
    await desk.tenants.change_settings("acme", {"max_waiting_imports": 1, "paused_until": until})
    await desk.uploaded(people("ann"))
    await desk.trials.of_settings("acme", {}, "olga")
    with pytest.raises(Refused, match="1 import waits already"):
        await desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga")


async def test_a_dry_run_from_the_page_neither_supersedes_nor_is_superseded(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"deactivate_missing": True})
    sent = await desk.uploaded(people("ann"), dry_run=True)
    first = await desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga")
    second = await desk.trials.of_file("acme", "x.csv", chunks(people("bo")), "olga")
    assert [(await desk.ended(number)).state for number in (sent, first, second)] == [ImportState.COMPLETED] * 3


async def test_a_dry_run_from_the_page_waits_for_no_checksum(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"require_checksum": True})
    await desk.queue.checksum_landed("acme", "ab" * 32, dry_run=True)
    number = await desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga")
    assert (await desk.ended(number)).state is ImportState.COMPLETED


async def test_a_dry_run_between_an_upload_and_its_checksum_does_not_use_the_checksum(desk: Desk) -> None:
    sent = await desk.uploaded(people("ann"), dry_run=True)
    await desk.trials.of_file("acme", "x.csv", chunks(people("bo")), "olga")
    await desk.queue.checksum_landed("acme", "ab" * 32, dry_run=True)
    assert (await desk.ended(sent)).state is ImportState.FAILED


async def test_a_dry_run_of_the_same_content_takes_no_checksum_from_an_upload(desk: Desk) -> None:
    content = people("ann")
    await desk.ended(await desk.trials.of_file("acme", "x.csv", chunks(content), "olga"))
    sent = await desk.uploaded(content)
    for checksum in (hashlib.sha256(content).hexdigest(), "ab" * 32):
        await desk.queue.checksum_landed("acme", checksum, dry_run=False)
    assert (await desk.ended(sent)).state is ImportState.COMPLETED


async def test_other_settings_are_tested_on_the_newest_file_that_is_not_a_dry_run(desk: Desk) -> None:
    await desk.imported(people("ann"))
    tested = await desk.imported(b"first_name;last_name;email\nAnn;Smith;ann@example.com\nBo;Lee;bo@example.com\n")
    assert (await found(desk.queue, tested)).state is ImportState.FAILED
    number = await desk.trials.of_settings("acme", {"delimiter": ";", "encoding": "UTF-8"}, "olga")
    entry = await desk.ended(number)
    assert entry.trial == DryRunRequest("olga", {"delimiter": ";"}, tested)
    assert entry.outcome
    assert (entry.state, entry.outcome.counts.created) == (ImportState.COMPLETED, 1)
    assert (await desk.tenants.settings("acme")).delimiter == ","
    assert desk.stored.copy("acme", tested) is not None


async def test_a_settings_test_compares_rows_again_that_the_file_before_had(desk: Desk) -> None:
    """Rows known from the file before are compared again, and a reset to a default can be tested too."""
    await desk.tenants.change_settings("acme", {"value_mapping": {"job_title": {"Boss": "Manager"}}})
    await desk.imported(people("ann", "bo", job_title="Boss"))
    before = await desk.users()
    entry = await desk.ended(await desk.trials.of_settings("acme", {"value_mapping": None}, "olga"))
    assert entry.outcome
    assert entry.outcome.counts.updated == 2
    assert await desk.users() == before


async def test_invalid_settings_are_not_tested(desk: Desk) -> None:
    await desk.imported(people("ann"))
    with pytest.raises(TenantRefused) as caught:
        await desk.trials.of_settings("acme", {"delimiter": "::"}, "olga")
    assert caught.value.setting == "delimiter"
    assert await desk.queue.under_way("acme") == []


async def test_a_settings_test_without_a_kept_file_is_refused(desk: Desk) -> None:
    await desk.uploaded(people("ann"), dry_run=True)
    lay = desk.lying_about()
    with pytest.raises(Refused, match="These settings cannot be tested: no CSV file was imported yet") as caught:
        await desk.trials.of_settings("acme", {}, "olga")
    assert caught.value.code == "no_kept_file"
    assert desk.lying_about() == lay


async def test_a_settings_test_skips_correction_files(desk: Desk) -> None:
    whole = await desk.imported(people("ann", "bo"))
    await desk.imported(people("ann", _code="x"))
    number = await desk.trials.of_settings("acme", {}, "olga")
    trial = (await found(desk.queue, number)).trial
    assert trial
    assert trial.of == whole


UNREADABLE = {"pdf": b"%PDF-1.7\n1 0 obj\n", "workbook": b"PK\x03\x04" + b"\0" * 40, "empty": b"", "blank": b"\n\n"}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_settings_test_skips_a_file_that_no_settings_can_read(desk: Desk, name: str) -> None:
    await desk.imported(UNREADABLE[name])
    with pytest.raises(Refused, match="no CSV file was imported yet"):
        await desk.trials.of_settings("acme", {}, "olga")
    whole = await desk.imported(people("ann", "bo"))
    await desk.imported(UNREADABLE[name])
    number = await desk.trials.of_settings("acme", {}, "olga")
    trial = (await found(desk.queue, number)).trial
    assert trial
    assert trial.of == whole


BADGES = [{"key": "badge"}]


async def test_another_identifier_is_tested_with_the_values_that_users_have(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"custom_fields": BADGES})
    header = ("first_name", "last_name", "email", "badge")
    await desk.imported(
        sheet(("Ann", "Smith", "ann@example.com", "1"), ("Bo", "Lee", "bo@example.com", "2"), header=header)
    )
    # Ann has another address: by address she would be another user.
    await desk.imported(sheet(("Bo", "Lee", "bo@example.com", "2"), header=header))
    desk.stored.keep_copy("acme", 2, sheet(("Ann", "Smith", "new@example.com", "1"), header=header))
    before = await desk.users()
    entry = await desk.ended(await desk.trials.of_settings("acme", {"identifier": "badge"}, "olga"))
    assert entry.outcome
    assert (entry.state, entry.outcome.counts.updated, entry.outcome.counts.created) == (ImportState.COMPLETED, 1, 0)
    assert await desk.users() == before
    assert (await desk.tenants.settings("acme")).identifier == "email"


async def test_a_test_of_an_identifier_that_users_lack_fails_and_names_them(desk: Desk) -> None:
    await desk.imported(people("ann", badge="1"))
    before = await desk.users()
    changes = {"custom_fields": BADGES, "identifier": "badge"}
    entry = await desk.ended(await desk.trials.of_settings("acme", changes, "olga"))
    assert entry.state is ImportState.FAILED
    assert "badge cannot be the identifier yet: Ann Smith (ann@example.com) has no value" in (entry.message or "")
    assert await desk.users() == before


async def test_a_settings_test_fails_if_the_settings_changed_meanwhile(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"custom_fields": BADGES})
    await desk.imported(people("ann"))
    number = await desk.trials.of_settings("acme", {"field_mapping": {"Nr": "badge"}}, "olga")
    await desk.tenants.change_settings("acme", {"custom_fields": None})
    entry = await desk.ended(number)
    assert entry.state is ImportState.FAILED
    assert "The settings changed after this test was started" in (entry.message or "")


@pytest.mark.logs("upload_recovered")
async def test_a_dry_run_whose_copy_was_made_runs_after_a_crash(desk: Desk) -> None:
    number = await promised(desk)
    desk.stored.keep_copy("acme", number, people("ann"))
    await restart(desk)
    assert (await desk.ended(number)).state is ImportState.COMPLETED


async def test_a_dry_run_without_a_copy_is_aborted_after_a_crash(desk: Desk) -> None:
    number = await promised(desk)
    desk.stored.publish("acme", "/test/x.csv", people("ann"))
    await restart(desk)
    assert (await found(desk.queue, number)).state is ImportState.ABORTED
    assert desk.stored.copy("acme", number) is None


async def promised(desk: Desk) -> int:
    return await desk.queue.arriving(
        "acme", "/test/x.csv", size=5, written=None, uploaded_at=NOON, dry_run=True, trial=DryRunRequest("olga")
    )


async def restart(desk: Desk) -> None:
    archive, folder = desk.tenants.archive, desk.tenants.folder
    await recover(desk.queue, desk.closing, folder, desk.tenants.users, known_end, archive=archive)
    await remove_leftovers(desk.queue, "acme", folder("acme"), archive)


async def test_a_dry_run_that_cannot_be_queued_is_listed_and_leaves_no_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", broken)
    lay = desk.lying_about()
    with pytest.raises(Refused, match="disk of the server is full"):
        await desk.trials.of_file("acme", "x.csv", chunks(people("ann")), "olga")
    assert desk.lying_about() == lay
    entry = (await desk.queue.page("acme"))[0]
    assert (entry.state, entry.dry_run) == (ImportState.ABORTED, True)
    assert "disk of the server is full" in (entry.message or "")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("staff.csv", "staff.csv"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\Ann\staff.csv", "staff.csv"),
        ("a\nb\x00c\u202e.csv", "abc.csv"),
        ("<b>.csv", "<b>.csv"),
        ("..", NO_NAME),
        ("/", NO_NAME),
        ("", NO_NAME),
        (" \t ", NO_NAME),
        ("ü" * 200, "ü" * 127),
        ("\ud800.csv", ".csv"),
    ],
)
def test_a_file_name_is_kept_without_folders_and_invisible_characters(given: str, kept: str) -> None:
    assert tidy_name(given) == kept
