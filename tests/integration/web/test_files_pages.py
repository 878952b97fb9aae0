"""The page Files: what hooks did with files, one file, its downloads, and a failed file again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.runs import RunOutcome
from ground.moments import utc_now
from importer.model import ImportState, Problem, Severity
from server.runs.finding import known_hooks
from server.runs.registry import RegisteredHook
from server.web.pages.files import page as module
from tests.support.pages import done, page, seen, settings
from tests.support.runs import ended, put_in_line, start
from tests.support.site import Site, open_site

FILES = "/tenants/acme/files"
HOOKS = (
    RegisteredHook("invoices", "/invoices/*.csv", "acme-invoices"),
    RegisteredHook("scans", "/scans/*.pdf", "scans", error="cannot be imported: no module named x"),
    RegisteredHook("lost", None, "lost", error="never loaded"),
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other", found=HOOKS, known=known_hooks(HOOKS)) as opened:
        yield opened


def listed(text: str) -> list[int]:
    """Return the ids in the list of files."""
    return [int(found) for found in re.findall(r'<th scope="row"><a href="[^"]*/files/(\d+)"', text)]


def results(site: Site, **content: bytes) -> None:
    """Write files into /results of acme; `invoices_1__x` is the file `invoices-1.x`."""
    for name, data in content.items():
        site.stored.publish("acme", f"/results/{name.replace('__', '.').replace('_', '-')}", data)


async def test_files_are_listed_newest_first_in_pages_and_found_by_hook_and_state(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    await site.filed()
    await site.filed(ImportState.FAILED, hook="scans")
    await site.filed(ImportState.FAILED)
    await site.filed(tenant="other")
    browser = await site.browser("viewer")
    first = (await browser.get(FILES)).text
    assert listed(first) == [3, 2]
    older = re.search(r'<a href="(\?[^"]*)" rel="next">', first)
    assert older
    second = (await browser.get(FILES + older[1])).text
    assert listed(second) == [1]
    assert 'rel="next"' not in second
    assert f'<a href="{FILES}">Newest</a>' in second
    assert listed((await browser.get(f"{FILES}?hook=invoices")).text) == [3, 1]
    assert listed((await browser.get(f"{FILES}?hook=scans&state=failed")).text) == [2]
    assert "No file fits this filter." in seen((await browser.get(f"{FILES}?hook=scans&state=ignored")).text)
    assert "/invoices/march.csv" in seen(first)


async def test_a_page_of_a_filtered_list_keeps_the_filter(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    for _ in range(3):
        await site.filed(ImportState.FAILED)
    text = await page(site, f"{FILES}?hook=invoices&state=failed")
    assert 'href="?hook=invoices&amp;state=failed&amp;before=3"' in text
    text = await page(site, f"{FILES}?hook=invoices&state=failed&before=3")
    assert listed(text) == [2]
    assert f'href="{FILES}?hook=invoices&amp;state=failed">Newest' in text


async def test_an_empty_list_names_the_paths_and_those_that_refuse_files(site: Site) -> None:
    text = seen(await page(site, FILES, role="viewer"))
    assert "No files yet" in text
    assert "/invoices/*.csv" in text
    assert "/scans/*.pdf refuses files now" in text
    assert "no module named" not in text, "that is for the operator"


async def test_a_hook_that_is_off_is_not_named_but_its_files_stay_listed(site: Site) -> None:
    await site.filed(hook="scans")
    await settings(site, hooks=["invoices"])
    text = await page(site, FILES)
    assert re.findall(r'<option value="(\w+)">', text)[:1] == ["invoices"]
    assert '<option value="scans"' not in text
    assert listed(text) == [1]
    assert listed(await page(site, f"{FILES}?hook=scans")) == [1]
    await settings(site, hooks=[])
    assert "No hook for other files is on" not in await page(site, FILES), "the list is not empty"


async def test_the_navigation_has_files_only_where_the_server_has_hooks(site: Site, tmp_path: Path) -> None:
    link = f'<a href="{FILES}"'
    for role in ("viewer", "owner", "operator"):
        assert link in await page(site, "/tenants/acme/imports", role=role)
    assert f'{link} aria-current="page">Files</a>' in await page(site, FILES)
    async with open_site(tmp_path / "without", "acme") as without:
        assert link not in await page(without, "/tenants/acme/imports")
        assert "No hook for other files is on for your company." in await page(without, FILES)


async def test_a_file_has_its_sentence_counts_messages_and_facts(site: Site) -> None:
    runs = site.office.runs
    run = ended(await start(runs, await put_in_line(runs)), ImportState.COMPLETED_WITH_ERRORS)
    messages = (
        dict(Problem(Severity.ERROR, "no_sum", "<b>No sum.</b>", 3, "sum").to_json()),
        dict(Problem(Severity.NOTICE, "old", "An old form.").to_json()),
    )
    said = replace(run, message="12 invoices read", outcome=RunOutcome({"invoices": 1200, "skipped": 0}, messages))
    assert await runs.finish(said, published=True)
    html = await page(site, f"{FILES}/1", role="viewer")
    text = seen(html)
    for words in (
        *("File #1", "Completed with errors", "12 invoices read.", "invoices 1,200", "skipped 0"),
        *("3 sum Error <b>No sum.</b> no_sum", "– – Notice An old form. old", "/invoices/march.csv", "5 bytes"),
        *("Attempts 1 of 5", "SHA-256"),
    ):
        assert words in text, words
    assert "<b>No sum" not in html
    assert "Run again" not in text


async def test_the_error_of_a_run_is_for_the_operator(site: Site) -> None:
    await site.filed(ImportState.FAILED)
    for role in ("viewer", "owner"):
        for path in (FILES, f"{FILES}/1", f"{FILES}/1/report.json"):
            answer = await (await site.browser(role)).get(path)
            assert "ValueError" not in answer.text, (role, path)
            assert "It failed." in answer.text
    assert "ValueError: no" in await page(site, f"{FILES}/1", role="operator")


async def test_a_run_that_waits_says_when_its_next_attempt_follows(site: Site) -> None:
    runs = site.office.runs
    run = await start(runs, await put_in_line(runs))
    text = await page(site, f"{FILES}/1")
    assert "Attempt 1 of 5 is running." in text
    assert "http-equiv" in text, "without a script the page reloads"
    due = utc_now().timestamp() + 1800
    assert await runs.requeue(run, message="the bank is away", error="BankAway: x", not_before=due)
    text = await page(site, f"{FILES}/1")
    assert "The bank is away. Attempt 2 of 5 follows at" in seen(text)
    assert "BankAway" not in text
    assert "http-equiv" not in text


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("elsewhere", 404), ("owner", 303), ("operator", 303)])
async def test_an_owner_runs_a_failed_file_again_on_its_page(site: Site, role: str, status: int) -> None:
    number = await site.filed(ImportState.FAILED)
    browser = await site.browser(role)
    answer = await browser.post(f"{FILES}/{number}/run-again")
    assert answer.status_code == status
    queued = (await site.office.runs.require("acme", number)).state is ImportState.QUEUED
    assert queued == (status == 303)
    if queued:
        assert done(answer) == (f"{FILES}/{number}", "run-again")
        assert "Queued again, after all other files of its hook." in (await browser.get(f"{FILES}/{number}")).text


async def test_only_an_owner_sees_the_button_and_only_where_the_file_is_kept(site: Site) -> None:
    kept, gone = await site.filed(ImportState.FAILED), await site.filed(ImportState.FAILED, copy=None)
    assert f'action="{FILES}/{kept}/run-again"' in await page(site, f"{FILES}/{kept}")
    text = await page(site, f"{FILES}/{kept}", role="viewer")
    assert "run-again" not in text
    assert "Only an owner can run this file again." in text
    text = await page(site, f"{FILES}/{gone}")
    assert "run-again" not in text
    assert "This file is no longer kept. Send it again." in text


async def test_a_file_that_cannot_be_run_again_shows_its_page_with_the_reason(site: Site) -> None:
    number = await site.filed()
    answer = await (await site.browser("owner")).post(f"{FILES}/{number}/run-again")
    assert answer.status_code == 409
    assert "only a failed run can be run again" in seen(answer.text)
    assert "File #1" in seen(answer.text)
    assert (await (await site.browser("owner")).post(f"{FILES}/7/run-again")).status_code == 404
    failed = await site.filed(ImportState.FAILED)
    await site.office.tenants.change_settings("acme", {"hooks": ["scans"]})
    answer = await (await site.browser("owner")).post(f"{FILES}/{failed}/run-again")
    assert answer.status_code == 409
    assert "the hook invoices is off for acme: turn it on in the settings first" in seen(answer.text).lower()


async def test_the_reports_of_a_hook_and_the_file_are_downloaded(site: Site) -> None:
    await site.filed(ImportState.FAILED, copy=b"No,Sum\n1,2\n")
    results(
        site, invoices_1__json=b"{}", invoices_1__rows__html=b"<script>", invoices_12__csv=b"other", scans_1__csv=b"x"
    )
    html = await page(site, f"{FILES}/1", role="viewer")
    assert re.findall(rf'href="{FILES}/1/reports/([^"]*)"', html) == ["rows.html"]
    browser = await site.browser("viewer")
    report = await browser.get(f"{FILES}/1/reports/rows.html")
    assert (report.content, report.headers["content-type"]) == (b"<script>", "application/octet-stream")
    assert report.headers["content-disposition"] == 'attachment; filename="invoices-1.rows.html"'
    file = await browser.get(f"{FILES}/1/file")
    assert (file.content, file.headers["content-type"]) == (b"No,Sum\n1,2\n", "application/octet-stream")
    assert file.headers["content-disposition"] == 'attachment; filename="march.csv"'
    told = await browser.get(f"{FILES}/1/report.json")
    assert json.loads(told.text)["state"] == "failed"
    assert told.headers["content-disposition"] == 'attachment; filename="invoices-1.json"'


@pytest.mark.only_on("sqlite", "no other engine has links")
@pytest.mark.parametrize(
    "name",
    ["none", "%2E%2E", "%2E%2E%2F%2E%2E%2Fusers.db", "%2Fetc%2Fpasswd", "a%00b", "link", "folder", "2.csv", "é"],
)
async def test_a_report_leads_to_no_other_file(site: Site, name: str) -> None:
    await site.filed()
    folder = site.office.tenants.folder("acme")
    (folder.results / "invoices-1.link").symlink_to(folder.root / "users.db")
    (folder.results / "invoices-1.folder").mkdir()
    results(site, invoices_2__csv=b"of another run")
    answer = await (await site.browser("owner")).get(f"{FILES}/1/reports/{name}")
    assert answer.status_code == 404
    os.rename(folder.results, folder.results.with_name("elsewhere"))
    folder.results.symlink_to(folder.results.with_name("elsewhere"))
    results(site, invoices_1__csv=b"behind a link")
    assert (await (await site.browser("owner")).get(f"{FILES}/1/reports/csv")).status_code == 404


async def test_files_of_another_company_are_not_found(site: Site) -> None:
    await site.filed(tenant="other")
    owner = await site.browser("owner")
    for path in ("1", "1/file", "1/report.json", "1/reports/csv"):
        assert (await owner.get(f"{FILES}/{path}")).status_code == 404, path
        assert (await owner.get(f"/tenants/other/files/{path}")).status_code == 404, path


async def test_the_server_page_has_the_hooks_and_the_failed_files_with_their_errors(site: Site) -> None:
    await site.filed(ImportState.FAILED)
    await site.filed(ImportState.FAILED, "other", "scans")
    await site.filed(ImportState.QUEUED)
    html = await page(site, "/server", role="operator")
    text = seen(html)
    assert "invoices /invoices/*.csv acme-invoices" in text
    assert "scans Cannot be imported: no module named x. /scans/*.pdf scans" in text
    assert "lost Never loaded. not known lost" in text
    assert "1 file waits for a hook in all companies." in text
    found = re.findall(r'href="(/tenants/\w+/files/\d+)"', html)
    assert found == ["/tenants/other/files/1", "/tenants/acme/files/1"]
    assert "It failed. ValueError: no" in text


async def test_a_server_without_hooks_has_no_part_about_them(tmp_path: Path) -> None:
    async with open_site(tmp_path, "acme") as without:
        assert 'id="hooks"' not in await page(without, "/server", role="operator")
