"""Advice on a file is the same on the page of its import, over the API, in the report, and from `headcount check`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.web.pages.imports.naming import as_in_form
from tests.integration.advice.test_followed import CODES, GERMAN, HEADER, OURS, WRAPPED, advised, sheet
from tests.support.cli import run_cli
from tests.support.pages import IMPORTS, page, seen
from tests.support.site import Site, open_site

FILES = {
    "another encoding, delimiter and form of dates": GERMAN,
    "more than an address": WRAPPED.encode(),
    "letters of a status": sheet(f"{HEADER},Employment Status Code", *CODES).encode(),
    "a status left out": sheet(
        f"{OURS},Job Title,Status", "Ann,Lee,ann@a.test,Cook,Active", "Bo,Ng,bo@a.test,Cook,Ended"
    ).encode(),
    "words for nothing": sheet(
        f"{OURS},role,manager,hire_date", "Ann,Lee,ann@a.test,NULL,#REF!,NULL", "Bo,Ng,bo@a.test,,-,"
    ).encode(),
    "a title and a total": sheet("Staff list", "", HEADER, "Ann,Lee,ann@a.test", "Total,1,").encode(),
    "lines in quotes": b'"first_name,last_name,email"\n"Ann,Lee,ann@a.test"\n',
}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
async def test_page_api_report_and_check_have_the_same_advice(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    advice = await advised(site, content, dry_run=True)
    report = site.stored.visible("acme", "/results/sync_users-1.json")
    assert report
    assert json.loads(report)["advice"] == advice
    (tmp_path / "new.csv").write_bytes(content)
    site.stored.use(monkeypatch)
    check = ("check", "acme", str(tmp_path / "new.csv"))
    assert (await asyncio.to_thread(run_cli, *check, "--json")).json["advice"] == advice
    shown, printed = seen(await page(site, f"{IMPORTS}/1")), (await asyncio.to_thread(run_cli, *check)).text
    columns = [f"“{each['header']}”: {each['note']}" for each in advice["columns"]]
    for said in (*advice["sentences"], *columns, *(f"{gap} No setting can fix this." for gap in advice["gaps"])):
        assert (seen(f"<main>{as_in_form(said, '')}</main>") in shown, said in printed) == (True, True), said
