"""Runs of hooks in the API: lists, one run, its reports, and running a failed one again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from importer.model import ImportState
from server.runs.registry import RegisteredHook
from server.web.api.runs.models import Run
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.runs import OUTCOME, SHA256
from tests.support.site import Site, open_site

RUNS = "/api/v1/tenants/acme/runs"
HOOKS = (
    RegisteredHook("invoices", "/invoices/*.csv", "acme-invoices"),
    RegisteredHook("scans", "/scans/*.pdf", "scans", error="cannot be imported"),
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other", found=HOOKS) as opened:
        yield opened


async def everything(site: Site, **asked: Any) -> list[Any]:
    """All pages of the list, by their Link headers."""
    client, found = site.api("viewer"), []
    answer = await client.get(RUNS, params=asked)
    while True:
        assert answer.status_code == 200, answer.text
        found += answer.json()["runs"]
        if "next" not in answer.links:
            assert answer.json()["next"] is None
            return found
        answer = await client.get(str(answer.url.join(answer.links["next"]["url"])))


async def test_runs_are_listed_newest_first_and_in_pages(site: Site) -> None:
    for _ in range(5):
        await site.filed()
    await site.filed(tenant="other")
    assert [each["id"] for each in await everything(site, limit=2)] == [5, 4, 3, 2, 1]


async def test_runs_are_found_by_hook_and_state(site: Site) -> None:
    await site.filed()
    await site.filed(ImportState.FAILED)
    await site.filed(ImportState.FAILED, hook="scans")
    await site.filed(ImportState.QUEUED)

    async def ids(**asked: str) -> list[int]:
        return [each["id"] for each in await everything(site, **asked)]

    assert (await ids(hook="invoices"), await ids(hook="scans"), await ids(hook="other")) == ([4, 2, 1], [3], [])
    assert (await ids(state="failed"), await ids(state="failed", hook="invoices")) == ([3, 2], [2])
    wrong = await site.api("viewer").get(RUNS, params={"state": "held"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_request")


async def test_a_run_has_its_report_and_no_error_of_the_operator(site: Site) -> None:
    number = await site.filed(ImportState.FAILED)
    for role in ("viewer", "owner", "operator"):
        answer = await site.api(role).get(f"{RUNS}/{number}")
        report = answer.json()
        assert {*report} == {*Run.model_fields}
        assert (report["path"], report["attempt"], report["message"]) == ("/invoices/march.csv", 1, "It failed.")
        assert report["file"] == {"name": "march.csv", "size": 5, "sha256": SHA256}
        assert (report["counts"], report["messages"]) == (OUTCOME.counts, [*OUTCOME.messages])
        assert "ValueError" not in answer.text
        assert (await site.api(role).get(RUNS)).json()["runs"] == [report]


async def test_a_run_of_another_tenant_and_an_unknown_one_are_not_found(site: Site) -> None:
    await site.filed(tenant="other")
    for path in (f"{RUNS}/1", f"{RUNS}/1/rerun", f"{RUNS}/1/reports/csv"):
        answer = await site.api("owner").request("POST" if path.endswith("rerun") else "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_run"), path
    assert (await site.api("owner").get(RUNS)).json()["runs"] == []
    assert (await site.api("owner").get("/api/v1/tenants/other/runs/1")).json()["code"] == "no_tenant"


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 200), ("owner", 200), ("operator", 200), ("elsewhere", 404), (None, 401)]
)
async def test_a_report_of_a_hook_is_downloaded(site: Site, role: str | None, status: int) -> None:
    number = await site.filed()
    reported(site, f"invoices-{number}.rejected.csv", b"No,Sum\r\n")
    answer = await (site.api(role) if role else site.anybody()).get(f"{RUNS}/{number}/reports/rejected.csv")
    assert answer.status_code == status, answer.text
    if status == 200:
        assert (answer.content, answer.headers["content-type"]) == (b"No,Sum\r\n", "application/octet-stream")
        assert answer.headers["content-disposition"] == 'attachment; filename="invoices-1.rejected.csv"'
        head = await site.api("viewer").head(f"{RUNS}/{number}/reports/rejected.csv")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "8", b"")


@pytest.mark.parametrize("name", ["none", "%2E%2E", "%2E%2E%2F%2E%2E%2Fusers.db", "a%00b", "link", "2.csv", "é"])
async def test_a_report_that_a_hook_did_not_make_is_not_found(site: Site, name: str) -> None:
    await site.filed()
    if chosen_engine() == EMBEDDED:
        folder = site.stored.folder("acme")
        (folder.results / "invoices-1.link").symlink_to(folder.users_db)
    reported(site, "invoices-2.csv", b"of another run")
    answer = await site.api("owner").get(f"{RUNS}/1/reports/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_file")


def reported(site: Site, name: str, content: bytes) -> None:
    """Put a file into /results of acme."""
    site.stored.publish("acme", f"/results/{name}", content)


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("elsewhere", 404), (None, 401), ("owner", 202), ("operator", 202)]
)
async def test_only_an_owner_or_the_operator_runs_a_file_again(site: Site, role: str | None, status: int) -> None:
    number = await site.filed(ImportState.FAILED)
    answer = await (site.api(role) if role else site.anybody()).post(f"{RUNS}/{number}/rerun")
    assert answer.status_code == status, answer.text
    queued = (await site.office.runs.require("acme", number)).state is ImportState.QUEUED
    assert queued == (status == 202)


@pytest.mark.logs("run_queued_again")
async def test_a_failed_file_is_queued_as_the_last_with_new_attempts(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, later = await site.filed(ImportState.FAILED), await site.filed(ImportState.QUEUED)
    site.office.runs.changed.clear()
    answer = await site.api("owner").post(f"{RUNS}/{first}/rerun")
    assert (answer.json()["state"], answer.json()["attempt"]) == ("queued", 0)
    assert [run.id for run in await site.office.runs.heads()] == [later]
    assert site.office.runs.changed.is_set(), "it wakes the hooks"
    told = [each.__dict__ for each in caplog.records if getattr(each, "event", "") == "run_queued_again"]
    assert [(each["run_id"], each["hook"], each["tenant"]) for each in told] == [(first, "invoices", "acme")]
    assert "owner, token" in told[0]["by"]


@pytest.mark.parametrize("hook", ["scans", "removed"])
async def test_a_file_whose_hook_is_gone_is_not_run_again(site: Site, hook: str) -> None:
    number = await site.filed(ImportState.FAILED, hook=hook)
    answer = await site.api("owner").post(f"{RUNS}/{number}/rerun")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_hook")
    assert f"does not have the hook {hook}" in answer.json()["detail"]
    assert (await site.office.runs.require("acme", number)).state is ImportState.FAILED


async def test_a_file_that_has_not_failed_or_is_not_kept_is_not_run_again(site: Site) -> None:
    done, gone = await site.filed(), await site.filed(ImportState.FAILED, copy=None)
    owner = site.api("owner")
    answer = await owner.post(f"{RUNS}/{done}/rerun")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_failed")
    answer = await owner.post(f"{RUNS}/{gone}/rerun")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_file")
    assert "send it again" in answer.json()["detail"]
    assert (await site.office.runs.require("acme", gone)).state is ImportState.FAILED


async def test_a_file_is_not_run_again_while_its_hook_is_off(site: Site) -> None:
    failed, owner = await site.filed(ImportState.FAILED), site.api("owner")
    await site.office.tenants.change_settings("acme", {"hooks": ["sync_users"]})
    answer = await owner.post(f"{RUNS}/{failed}/rerun")
    assert (answer.status_code, answer.json()["code"]) == (409, "hook_off")
    assert "invoices is off for acme" in answer.json()["detail"]
    assert (await site.office.runs.require("acme", failed)).state is ImportState.FAILED
    await site.office.tenants.change_settings("acme", {"hooks": None})
    assert (await owner.post(f"{RUNS}/{failed}/rerun")).status_code == 202
