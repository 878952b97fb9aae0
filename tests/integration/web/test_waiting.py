"""`GET /imports/{id}?wait=SECONDS`, and the same of `/runs/{id}`: one request in place of many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from importer.model import ImportState
from server.web.crowd import STREAMS
from tests.support.importing import people
from tests.support.runs import end_in, start
from tests.support.site import Site, open_site
from tests.support.waiting import eventually

IMPORTS = "/api/v1/tenants/acme/imports"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def asking(site: Site, number: int, *, wait: int = 60) -> asyncio.Task[httpx.Response]:
    """Ask for an import in the background."""
    client = site.api("viewer")
    return asyncio.create_task(client.get(f"{IMPORTS}/{number}", params={"wait": wait}, timeout=90))


async def until_it_follows(site: Site) -> None:
    await eventually(lambda: bool(site.office.live._followers))


async def test_the_answer_comes_when_the_import_has_ended(site: Site) -> None:
    number = await site.upload(people("ann"))
    task = asking(site, number)
    await until_it_follows(site)
    await site.imported(people("ann"), "other")
    await site.run()
    assert (await task).json()["state"] == "completed"
    assert not site.office.live._followers


async def test_the_answer_comes_when_the_import_is_held(site: Site) -> None:
    names = [f"user{number}" for number in range(20)]
    await site.imported(people(*names))
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True})
    task = asking(site, await site.upload(people(*names[:5])))
    await until_it_follows(site)
    await site.run()
    assert (await task).json()["state"] == "held"


async def test_the_answer_comes_when_the_run_of_a_hook_has_ended(site: Site) -> None:
    number, runs = await site.filed(ImportState.QUEUED), site.office.runs
    path = f"/api/v1/tenants/acme/runs/{number}"
    task = asyncio.create_task(site.api("viewer").get(path, params={"wait": 60}, timeout=90))
    await until_it_follows(site)
    await site.imported(people("ann"))  # its id is that of the run
    run = await start(runs, number)
    await runs.requeue(run, message="The bank is away.", error=None, not_before=0.0)
    assert not task.done()
    await end_in(runs, number, ImportState.COMPLETED)
    assert ((await task).json()["state"], (await task).json()["attempt"]) == ("completed", 2)
    assert (await site.api("viewer").get(path, params={"wait": 61})).status_code == 422


@pytest.mark.parametrize("ended", [True, False])
async def test_the_answer_comes_at_once_if_nothing_is_to_be_waited_for(site: Site, ended: bool) -> None:
    number = await site.imported(people("ann")) if ended else await site.upload(people("ann"))
    answer = await asking(site, number, wait=60 if ended else 0)
    assert answer.json()["state"] == ("completed" if ended else "queued")


async def test_the_answer_has_the_state_of_then_when_the_time_is_over(site: Site) -> None:
    answer = await asking(site, await site.upload(people("ann")), wait=1)
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


@pytest.mark.parametrize("wait", ["-1", "61", "x"])
async def test_a_wait_that_is_too_long_is_refused(site: Site, wait: str) -> None:
    answer = await site.api("viewer").get(f"{IMPORTS}/1", params={"wait": wait})
    assert (answer.status_code, answer.json()["errors"][0]["name"]) == (422, "wait")


async def test_a_stop_of_the_server_answers_at_once(site: Site) -> None:
    task = asking(site, await site.upload(people("ann")))
    await until_it_follows(site)
    await site.office.live.close()
    assert (await task).json()["state"] == "queued"


async def test_a_client_that_disconnects_ends_its_wait(site: Site) -> None:
    task = asking(site, await site.upload(people("ann")))
    await until_it_follows(site)
    task.cancel()
    await eventually(lambda: not site.office.live._followers)


async def test_a_token_that_was_revoked_meanwhile_gets_no_report(site: Site) -> None:
    task = asking(site, await site.upload(people("ann")))
    await until_it_follows(site)
    for token in await site.office.tokens.list():
        if token.role == "viewer":
            await site.office.tokens.revoke(token.id)
    await site.run()
    answer = await task
    assert (answer.status_code, answer.json()["code"]) == (401, "no_token")


async def test_a_request_that_waits_counts_as_an_event_stream(site: Site) -> None:
    number = await site.upload(people("ann"))
    tasks = [asking(site, number) for _ in range(STREAMS)]
    await eventually(lambda: len(site.office.live._followers) == len(tasks))
    refused = await asking(site, number)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    await site.run()
    assert {(await task).json()["state"] for task in tasks} == {"completed"}
