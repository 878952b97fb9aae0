"""Uploads over SFTP to the paths of hooks become runs, or are listed with the reason why not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from engine.runs import Run
from ground.afterwards import Act, do_all, putting_off
from ground.moments import utc_now
from importer.model import ImportState
from server.files.hooks import Hooked, Upload
from server.runs.ending import Ending
from server.runs.ends import End, Refused
from server.runs.registry import Attempt, RegisteredHook, Registry
from server.runs.run_hook import table_entries
from server.tenants.tenants import Tenants
from tests.support.installation import installation
from tests.support.keypairs import public_line
from tests.support.sftp import SftpHouse, sftp_house
from tests.support.waiting import eventually

BROKEN = "scans cannot be imported: ModuleNotFoundError: x"
ONE, TWO = b"net\n1\n", b"net\n22\n"


class Choosy:
    """A hook that refuses files with the word in its name, after it has read them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, bytes]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def deliver(self, attempt: Attempt) -> End:
        raise AssertionError("no run starts here")

    asks = True

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> Refused | None:
        content = await asyncio.to_thread(file.read_bytes)
        self.asked.append((tenant, path, size, content))
        await self.may_answer.wait()
        return Refused("This file has a virus.", "Virus: EICAR") if b"virus" in content else None


class Runs:
    """A listening SFTP side with real runs, and hooks at `/invoices/*.csv` and (broken) at `/broken/*`."""

    def __init__(self) -> None:
        self.choosy = Choosy()
        self.counted: list[tuple[str, ImportState]] = []
        self.landed: list[str] = []

    def hooked(self, tenants: Tenants) -> Iterable[Hooked]:
        self.store = tenants.store.runs()
        ending = Ending(
            *(self.store, tenants.folder, lambda run: self.counted.append((run.hook, run.state))),
            archive=tenants.archive,
            results=tenants.results,
        )
        registry = Registry(
            [
                RegisteredHook("invoices", "/invoices/*.csv", "acme-hooks", runnable=self.choosy),
                RegisteredHook("scans", "/broken/*", "scans", error=BROKEN),
                RegisteredHook("lost", None, "lost", error="lost cannot be imported"),
                RegisteredHook("outside", "/../x", "outside", error="its path is wrong"),
            ]
        )
        return table_entries(registry, self.store, ending, tenants.folder, self.landed.append)

    async def all(self) -> list[Run]:
        return (await self.store.page("acme"))[::-1]


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[tuple[SftpHouse, Runs]]:
    runs = Runs()
    async with sftp_house(tmp_path, hooked=runs.hooked) as house:
        yield house, runs


async def put(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)


def report(house: SftpHouse, run: Run) -> Any:
    return json.loads(house.at(f"results/{run.hook}-{run.id}.json") or b"")


@pytest.mark.logs("run_queued")
async def test_an_upload_at_the_path_of_a_hook_is_a_queued_run_at_the_ok(tmp_path: Path) -> None:
    async with opened(tmp_path) as (house, runs):
        async with house.client() as sftp:
            await put(sftp, "invoices/march.csv", ONE)
            await put(sftp, "part", TWO)
            await sftp.rename("part", "invoices/march.csv")
        found = await runs.all()
        assert [(run.id, run.hook, run.path, run.state, run.size) for run in found] == [
            (1, "invoices", "/invoices/march.csv", ImportState.QUEUED, len(ONE)),
            (2, "invoices", "/invoices/march.csv", ImportState.QUEUED, len(TWO)),
        ]
        assert [house.stored.run_copy("acme", run.id) for run in found] == [ONE, TWO]
        assert [asked[:3] for asked in runs.choosy.asked] == [
            ("acme", "/invoices/march.csv", len(ONE)),
            ("acme", "/invoices/march.csv", len(TWO)),
        ]
        assert [asked[3] for asked in runs.choosy.asked] == [ONE, TWO]
        assert runs.counted == []
        assert runs.landed == ["acme", "acme"]


async def test_a_refused_upload_is_listed_with_the_words_of_the_hook(tmp_path: Path) -> None:
    async with opened(tmp_path) as (house, runs), house.client() as sftp:
        await put(sftp, "invoices/march.csv", ONE)
        with pytest.raises(asyncssh.SFTPFailure, match=r"^This file has a virus\.$"):
            await put(sftp, "invoices/march.csv", b"virus")
        assert house.at("invoices/march.csv") == ONE
        run = (await runs.all())[-1]
        assert (run.id, run.state, run.size) == (2, ImportState.ABORTED, 5)
        assert (run.message, run.error) == ("This file has a virus.", "Virus: EICAR")
        shown = report(house, run)
        assert (shown["state"], shown["message"], shown["path"]) == ("aborted", run.message, "/invoices/march.csv")
        assert "EICAR" not in json.dumps(shown)
        assert house.stored.run_copy("acme", 2) is None
        assert runs.counted == [("invoices", ImportState.ABORTED)]
        assert house.metrics.uploads == [("acme", "completed"), ("acme", "refused")]


async def test_a_hook_that_cannot_run_refuses_uploads_to_its_path_with_the_reason(tmp_path: Path) -> None:
    async with opened(tmp_path) as (house, runs), house.client() as sftp:
        await put(sftp, "part", ONE)
        words = r"The hook scans cannot be used \(scans cannot be imported\). Tell the operator."
        for attempt in (put(sftp, "broken/a.csv", ONE), sftp.rename("part", "broken/b.csv")):
            with pytest.raises(asyncssh.SFTPFailure, match=words):
                await attempt
        assert house.names("broken") == []
        assert house.at("part") == ONE
        found = await runs.all()
        assert [(run.hook, run.path, run.state) for run in found] == [
            ("scans", "/broken/a.csv", ImportState.ABORTED),
            ("scans", "/broken/b.csv", ImportState.ABORTED),
        ]
        assert found[0].error == BROKEN
        await put(sftp, "invoices/march.csv", ONE)
        assert (await runs.all())[-1].state is ImportState.QUEUED


async def test_similar_names_and_interrupted_uploads_are_listed_for_any_kind_of_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as (house, runs):
        async with house.client() as sftp:
            await put(sftp, "invoices/March.CSV", ONE)
            file = await sftp.open("invoices/april.csv", "wb")
            await file.write(ONE)
        async with asyncio.timeout(20):
            while len(found := await runs.all()) < 2 or found[1].state is ImportState.ARRIVING:
                await asyncio.sleep(0.02)
        assert [(run.hook, run.path, run.state) for run in found] == [
            ("invoices", "/invoices/March.CSV", ImportState.IGNORED),
            ("invoices", "/invoices/april.csv", ImportState.ABORTED),
        ]
        ignored, aborted = (run.message or "" for run in found)
        assert ignored.startswith("/invoices/March.CSV was not processed (uppercase and lowercase letters differ). ")
        assert ignored.endswith("Send it again as /invoices/March.csv.")
        assert aborted.startswith(f"The upload was interrupted after {len(ONE)} bytes (the client ")
        assert aborted.endswith("); the file was not processed. Send it again.")
        assert [report(house, run)["state"] for run in found] == ["ignored", "aborted"]
        await house.nothing_open()


@pytest.mark.only_on("sqlite", "a file is in the way of another")
async def test_a_file_that_cannot_be_published_is_listed_as_aborted(tmp_path: Path) -> None:
    async with opened(tmp_path) as (house, runs), house.client() as sftp:
        house.stored.keep_run_copy("acme", 1, b"in the way")
        with pytest.raises(asyncssh.SFTPError):
            await put(sftp, "invoices/march.csv", ONE)
        (run,) = await runs.all()
        assert run.state is ImportState.ABORTED
        assert (run.message or "").startswith(f"The upload was interrupted after {len(ONE)} bytes (")
        assert house.at("invoices/march.csv") is None


async def test_an_upload_that_fails_in_a_transaction_ends_only_after_it(tmp_path: Path) -> None:
    """The end of another run may wait for the transaction, and this end for that one."""
    upload, after = Upload("acme", "/invoices/march.csv", len(ONE), None, utc_now(), "close"), list[Act]()
    async with opened(tmp_path) as (house, runs):
        hook = next(iter(runs.hooked(house.tenants))).hook
        with putting_off(after):
            await hook.failed(upload, await hook.arriving(upload), "the disk is full")
            assert await runs.all() == []  # no list shows one that arrives
        await do_all(after)
        assert [run.state for run in await runs.all()] == [ImportState.ABORTED]


@pytest.mark.logs("upload_unrecorded")
async def test_a_busy_database_refuses_an_upload_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation(tmp_path / "data").impatient(monkeypatch, 0.05)
    async with opened(tmp_path) as (house, runs), house.client() as sftp:
        await put(sftp, "invoices/march.csv", ONE)
        with house.stored.writing("runs"):
            with pytest.raises(asyncssh.SFTPFailure, match=r"the file cannot be queued now: .* Send it again"):
                await put(sftp, "invoices/march.csv", TWO)
            with pytest.raises(asyncssh.SFTPFailure, match="This file has a virus"):
                await put(sftp, "invoices/march.csv", b"virus")
        assert house.at("invoices/march.csv") == ONE
        assert len(await runs.all()) == 1


@pytest.mark.parametrize("content", [ONE, b"virus"])
@pytest.mark.parametrize("way", ["close", "rename"])
async def test_a_new_tenant_learns_nothing_of_a_removed_one_with_its_name(
    tmp_path: Path, way: str, content: bytes
) -> None:
    async with opened(tmp_path) as (house, runs), house.client() as sftp:
        runs.choosy.may_answer.clear()
        if way == "rename":
            await put(sftp, "part", content)
            sending = asyncio.ensure_future(sftp.rename("part", "invoices/march.csv"))
        else:
            sending = asyncio.ensure_future(put(sftp, "invoices/march.csv", content))
        await eventually(lambda: bool(runs.choosy.asked), what="the question to the hook")
        await house.tenants.remove("acme")
        await house.tenants.add("acme", [public_line()])
        runs.choosy.may_answer.set()
        with pytest.raises((asyncssh.Error, OSError)):
            await sending
        await eventually(lambda: not house.listener._sessions.tasks, what="the session to end")
        assert await runs.all() == []
        assert house.at("invoices/march.csv") is None
        assert house.stored.run_copy("acme", 1) is None
