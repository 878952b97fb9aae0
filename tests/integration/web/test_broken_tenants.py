"""A broken tenant over HTTP: its owner reads a sentence, the operator the reason; other tenants are unaffected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.importing import people
from tests.support.site import Site, open_site

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")


def spoil(site: Site) -> Path:
    path = site.office.tenants.folder("acme").users_db
    for each in path.parent.glob("users.db*"):
        each.unlink(missing_ok=True)  # the log of a connection that just closed goes by itself
    return path


async def test_only_the_operator_reads_why_a_tenant_is_broken(tmp_path: Path) -> None:
    async with open_site(tmp_path, "acme", "other") as site:
        await site.imported(people("ann"))
        path = spoil(site)
        owner, operator = site.api("owner"), site.api("operator")
        for where in ("users", "settings", "imports"):  # the first request detects it
            answer = await owner.get(f"/api/v1/tenants/acme/{where}")
            assert (answer.status_code, answer.json()["code"]) == (503, "tenant_broken")
            assert answer.headers["retry-after"]
            assert str(tmp_path) not in answer.text
        told = await operator.get("/api/v1/tenants/acme/users")
        assert f"{path} is missing; restore it from a backup" in told.json()["detail"]
        assert (await site.api("elsewhere").get("/api/v1/tenants/other/users")).status_code == 200


async def test_pages_say_that_a_tenant_is_broken_and_the_operators_list_why(tmp_path: Path) -> None:
    async with open_site(tmp_path, "acme", "other") as site:
        path = spoil(site)
        owner, operator = await site.browser("owner"), await site.browser("operator")
        page = await owner.get("/tenants/acme/users")
        assert page.status_code == 503
        assert "the operator of the server must fix it" in page.text
        assert str(tmp_path) not in page.text
        companies = await operator.get("/tenants")
        assert f"Broken: {path} is missing" in companies.text
        rows = (await site.api("operator").get("/api/v1/tenants")).json()["tenants"]
        assert [bool(row["broken"]) for row in rows] == [True, False]
