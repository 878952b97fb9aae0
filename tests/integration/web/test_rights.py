"""Access on every route: the tests walk the app's table of routes, so no route is left out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import Mount, Route

from server.web.access import BearerNeeds, Need, SessionNeeds
from tests.support.importing import people
from tests.support.site import FROM_OURS, Site, open_site

PUBLIC = {
    "/",
    "/sign-in",
    "/sign-in/link",
    "/sign-in/request-link",
    "/sign-out",
    "/healthz",
    "/readyz",
    "/metrics",
    "/static",
    "/api",
    "/api/v1/openapi.json",
    "/help",
    "/help/sync_users.csv",
    "/help/{topic}",
    "/help/images",
}
"""The routes without an access check; `/` only redirects, and the help has no secret."""

REMOVAL = ("DELETE", "/api/v1/tenants/{tenant}")
OWN = {"viewer": {Need.VIEWER}, "owner": {Need.VIEWER, Need.OWNER}, "operator": set(Need)}
"""Each role with the routes that it may use."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def needs_of(route: RouteContext) -> BearerNeeds | SessionNeeds | None:
    found = [each.call for each in route.dependant.dependencies if isinstance(each.call, BearerNeeds | SessionNeeds)]
    assert len(found) <= 1, f"{route.path} checks twice"
    return found[0] if found else None


def routes_of(app: Any) -> Iterator[tuple[str, str, BearerNeeds | SessionNeeds | None]]:
    """Yield every route: method, path and its access check."""
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        if isinstance(route.original_route, APIRoute):
            for method in sorted(route.methods or ()):
                yield method, route.path, needs_of(route)
        else:
            assert isinstance(route.original_route, Route | Mount)
            yield "GET", route.path, None


def path_for(path: str, tenant: str) -> str:
    return re.sub(r"\{\w+(:\w+)?\}", "1", path.replace("{tenant}", tenant))


async def test_every_route_checks_access_or_is_public(site: Site) -> None:
    for method, path, needs in routes_of(site.app):
        assert needs is not None or path in PUBLIC, f"{method} {path} has no access check"


async def test_the_api_takes_tokens_and_the_pages_take_sessions(site: Site) -> None:
    for _, path, needs in routes_of(site.app):
        if needs is not None:
            assert isinstance(needs, BearerNeeds) == path.startswith("/api/"), path


async def test_every_route_with_access_needs_a_token_or_session(site: Site) -> None:
    stranger = site.anybody(**FROM_OURS)
    for method, path, needs in routes_of(site.app):
        if needs is not None:
            answer = await stranger.request(method, path_for(path, "acme"))
            expected = (401, None) if path.startswith("/api/") else (303, "/sign-in")
            where = answer.headers.get("location", "").partition("?")[0] or None
            assert (answer.status_code, where) == expected, f"{method} {path}"


@pytest.mark.parametrize("role", ["viewer", "owner"])
async def test_another_tenants_name_looks_unknown(site: Site, role: str) -> None:
    api, browser = site.api(role), await site.browser(role)
    for method, path, needs in routes_of(site.app):
        if needs is not None and "{tenant}" in path:
            client = api if path.startswith("/api/") else browser
            other, unknown = [await client.request(method, path_for(path, name)) for name in ("other", "unknown")]
            assert other.status_code == unknown.status_code == 404, f"{method} {path}"
            assert other.text.replace("other", "unknown") == unknown.text, f"{method} {path}"


async def test_a_viewer_can_read_and_change_nothing(site: Site) -> None:
    api, browser = site.api("viewer"), await site.browser("viewer")
    for method, path, needs in routes_of(site.app):
        if needs is None:
            continue
        if needs.need is Need.VIEWER:
            assert method in {"GET", "HEAD"}, f"{method} {path} may change something, and viewers may call it"
            continue
        client = api if path.startswith("/api/") else browser
        answer = await client.request(method, path_for(path, "acme"))
        assert answer.status_code == 403, f"{method} {path}"


async def test_an_owner_has_no_access_to_the_operators_routes(site: Site) -> None:
    api, browser = site.api("owner"), await site.browser("owner")
    for method, path, needs in routes_of(site.app):
        if needs is not None and needs.need is Need.OPERATOR:
            client = api if path.startswith("/api/") else browser
            assert (await client.request(method, path_for(path, "acme"))).status_code == 403, f"{method} {path}"


async def test_every_documented_route_of_the_api_is_walked(site: Site) -> None:
    document = (await site.anybody().get("/api/v1/openapi.json")).json()
    paths = [(path, each) for path, methods in document["paths"].items() for each in methods if each != "parameters"]
    documented = {(method.upper(), path) for path, method in paths}
    assert len(documented) > 30
    walked = {(method, re.sub(r":\w+", "", path)) for method, path, _ in routes_of(site.app) if "/api/v1/" in path}
    assert documented <= walked


async def test_every_role_has_access_to_all_its_routes(site: Site) -> None:
    for role, own in OWN.items():
        api, browser = site.api(role), await site.browser(role)
        for method, path, needs in routes_of(site.app):
            if needs is None or needs.need not in own or path.endswith("/events"):
                continue
            if (method, path) == REMOVAL:
                continue  # test_api_tenants.py removes a tenant
            client = api if path.startswith("/api/") else browser
            answer = await client.request(method, path_for(path, "acme"))
            where = answer.headers.get("location", "")
            assert answer.status_code not in {401, 403, 500}, f"{role} {method} {path}: {answer.text}"
            assert not where.startswith("/sign-in"), f"{role} {method} {path}"


async def test_a_parameter_that_comes_twice_is_refused_on_every_route_of_the_api(site: Site) -> None:
    operator = site.api("operator")
    for method, path, needs in routes_of(site.app):
        if isinstance(needs, BearerNeeds):
            answer = await operator.request(method, f"{path_for(path, 'acme')}?limit=1&limit=1")
            assert answer.status_code == 422, f"{method} {path}"
            if method != "HEAD":
                assert {"name": "limit", "detail": "comes more than once"} in answer.json()["errors"], path


@pytest.mark.only_on("sqlite", "no other engine has a folder")
async def test_a_missing_tenant_folder_is_answered_503_to_its_own_users_alone(site: Site) -> None:
    root = site.office.tenants.folder("acme").root
    root.rename(root.with_name("elsewhere"))
    for role, status in (("viewer", 503), ("owner", 503), ("operator", 503), ("elsewhere", 404)):
        answer = await site.api(role).get("/api/v1/tenants/acme/imports")
        assert (answer.status_code, answer.json()["code"]) == (status, "no_folder" if status == 503 else "no_tenant")
        assert (await (await site.browser(role)).get("/tenants/acme/imports")).status_code == status


@pytest.mark.parametrize("sender", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}])
async def test_forms_from_other_sites_are_refused_on_every_page(site: Site, sender: dict[str, str]) -> None:
    browser = await site.browser("owner")
    forger = site.anybody(**sender)
    forger.cookies.update(browser.cookies)
    forms = [path for method, path, _ in routes_of(site.app) if method == "POST" and not path.startswith("/api/")]
    assert len(forms) > 5
    for path in forms:
        assert (await forger.post(path_for(path, "acme"))).status_code == 403, path


@pytest.mark.parametrize("role", ["owner", "operator"])
async def test_no_link_from_another_site_changes_anything(site: Site, role: str) -> None:
    """The cookie comes with links from other sites, so GET must change nothing: on every page, by its table."""
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True})
    await site.imported(people(*(f"p{number}" for number in range(20))))
    assert await site.imported(people("p1")) == 2, "it is held"
    browser = await site.browser(role)
    browser.headers["sec-fetch-site"] = "cross-site"
    pages = {path for method, path, _ in routes_of(site.app) if method == "GET" and not path.startswith("/api/")}
    before, opened = site.stored.everything(), 0
    for path in sorted(pages - {"/static"}):
        if not path.endswith("/events"):
            for number in ("1", "2"):
                answer = await browser.get(path_for(path, "acme").replace("/1", f"/{number}"))
                opened += answer.status_code == 200
    assert opened > 20
    assert site.stored.everything() == before
