"""The operator adds and removes tenants over the API, and gives them keys and tokens."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ground.moments import rfc3339, utc_now
from tests.support.keypairs import public_line
from tests.support.site import Site, open_site

TENANTS = "/api/v1/tenants"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def names(site: Site) -> list[str]:
    return [each["name"] for each in (await site.api("operator").get(TENANTS)).json()["tenants"]]


async def test_the_operator_adds_a_tenant_with_a_key_and_a_token(site: Site) -> None:
    operator = site.api("operator")
    answer = await operator.post(TENANTS, json={"name": "globex"})
    assert (answer.status_code, answer.json()["name"]) == (201, "globex")
    assert (await operator.get(answer.headers["location"])).json()["imports"] == []
    assert await names(site) == ["acme", "globex", "other"]
    assert (await operator.post(f"{TENANTS}/globex/keys", json={"key": public_line()})).status_code == 201
    token = (await operator.post(f"{TENANTS}/globex/tokens", json={"role": "owner"})).json()["token"]
    owner = site.anybody(authorization=f"Bearer {token}")
    assert len((await owner.get(f"{TENANTS}/globex/keys")).json()["keys"]) == 1
    assert (await owner.get(f"{TENANTS}/acme/keys")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "acme"}, 409, "tenant_exists"),
        ({"name": "../acme"}, 422, "bad_name"),
        ({"name": ""}, 422, "bad_name"),
        ({}, 422, "bad_request"),
        ({"name": "globex", "keys": []}, 422, "bad_request"),
    ],
)
async def test_a_tenant_that_is_not_added_says_why(
    site: Site, body: dict[str, object], status: int, code: str
) -> None:
    answer = await site.api("operator").post(TENANTS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await names(site) == ["acme", "other"]


async def test_a_removed_tenant_is_kept_aside_and_its_tokens_open_nothing(site: Site) -> None:
    answer = await site.api("operator").delete(f"{TENANTS}/acme")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await names(site) == ["other"]
    assert site.stored.removed() == ["acme"]
    assert (await site.api("owner").get(f"{TENANTS}/acme/imports")).status_code == 401
    assert (await site.api("elsewhere").get(f"{TENANTS}/other/imports")).status_code == 200
    again = await site.api("operator").delete(f"{TENANTS}/acme")
    assert (again.status_code, again.json()["code"]) == (404, "no_tenant")


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
@pytest.mark.parametrize("fault", ["damaged", "gone"])
async def test_the_operator_removes_a_broken_tenant(site: Site, fault: str) -> None:
    folder = site.office.tenants.folder("other")
    if fault == "gone":
        shutil.rmtree(folder.root)
    else:
        for file in folder.root.glob("users.db*"):
            file.write_bytes(b"no database" * 1000)
        await site.office.soundness.look("other", ValueError("damaged"))
        assert site.office.soundness.why("other")
    operator = site.api("operator")
    assert (await operator.get(f"{TENANTS}/other/imports")).status_code == 503
    assert (await site.api("owner").delete(f"{TENANTS}/other")).status_code == 404
    assert (await operator.delete(f"{TENANTS}/other")).status_code == 204
    assert await names(site) == ["acme"]


async def test_only_the_operator_adds_and_removes_tenants(site: Site) -> None:
    for role, status in (("viewer", 403), ("owner", 403), ("elsewhere", 404)):
        assert (await site.api(role).post(TENANTS, json={"name": "globex"})).status_code == 403
        assert (await site.api(role).delete(f"{TENANTS}/acme")).status_code == status
    assert (await site.anybody().post(TENANTS, json={"name": "globex"})).status_code == 401
    assert (await site.anybody().delete(f"{TENANTS}/acme")).status_code == 401
    assert await names(site) == ["acme", "other"]


async def test_a_paused_tenant_shows_the_end_of_its_pause(site: Site) -> None:
    until = rfc3339(utc_now() + timedelta(days=2))
    await site.office.tenants.change_settings("acme", {"paused_until": until})
    tenants = (await site.api("operator").get(TENANTS)).json()["tenants"]
    assert {each["name"]: each["paused_until"] for each in tenants} == {"acme": until, "other": None}
