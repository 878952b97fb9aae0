"""Notifications in the API: the newest ones, and a test of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from importer.queue.notices import Channel
from tests.support.site import Site, open_site

NOTIFICATIONS = "/api/v1/tenants/acme/notifications"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def test_a_test_is_queued_for_every_channel_and_listed(site: Site) -> None:
    addresses = {
        "notify_email": ["hr@acme.example", "it@acme.example"],
        "notify_webhook": "https://acme.example/hook",
    }
    await site.office.tenants.change_settings("acme", addresses)
    answer = await site.api("owner").post(f"{NOTIFICATIONS}/test")
    assert (answer.status_code, answer.json()) == (
        202,
        {"told": ["hr@acme.example", "it@acme.example", "https://acme.example/hook"]},
    )
    listed = (await site.api("viewer").get(NOTIFICATIONS)).json()
    assert [(each["channel"], each["state"], each["attempts"]) for each in listed["notifications"]] == [
        ("webhook", "waiting", 0),
        ("mail", "waiting", 0),
    ]
    assert {each["topic"].split()[0] for each in listed["notifications"]} == {"test"}
    assert "content" not in listed["notifications"][0]


async def test_a_failed_attempt_is_listed_with_its_reason(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"notify_email": ["hr@acme.example"]})
    await site.api("owner").post(f"{NOTIFICATIONS}/test")
    (message,) = await site.office.outbox.due(Channel.MAIL)
    begun = await site.office.outbox.begin(message)
    assert begun
    await site.office.outbox.failed(begun, "the mail server answered 451")
    (listed,) = (await site.api("viewer").get(NOTIFICATIONS)).json()["notifications"]
    assert (listed["state"], listed["attempts"], listed["error"]) == ("waiting", 1, "the mail server answered 451")


async def test_a_list_of_notifications_has_at_most_its_limit(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"notify_email": ["hr@acme.example"]})
    for _ in range(3):
        await site.api("owner").post(f"{NOTIFICATIONS}/test")
    answer = await site.api("viewer").get(NOTIFICATIONS, params={"limit": 2})
    assert len(answer.json()["notifications"]) == 2


async def test_a_test_without_addresses_is_409_with_the_settings_to_set(site: Site) -> None:
    answer = await site.api("owner").post(f"{NOTIFICATIONS}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_notifications")
    assert "notify_email" in answer.json()["detail"]


async def test_another_tenant_has_its_own_notifications(site: Site) -> None:
    await site.office.tenants.change_settings("other", {"notify_email": ["hr@other.example"]})
    assert (await site.api("elsewhere").post("/api/v1/tenants/other/notifications/test")).status_code == 202
    assert (await site.api("viewer").get(NOTIFICATIONS)).json() == {"notifications": [], "next": None}


async def test_the_notifications_of_a_tenant_are_tested_at_most_ten_times_an_hour(site: Site) -> None:
    for tenant in ("acme", "other"):
        await site.office.tenants.change_settings(tenant, {"notify_email": ["stranger@elsewhere.example"]})
    answers = [await site.api(role).post(f"{NOTIFICATIONS}/test") for role in ["owner"] * 11 + ["operator"]]
    assert [each.status_code for each in answers] == [202] * 10 + [429] * 2
    assert (answers[-1].json()["code"], answers[-1].headers["retry-after"]) == ("too_many_tests", "3600")
    assert len(await site.office.outbox.newest("acme", 100)) == 10
    assert (await site.api("elsewhere").post("/api/v1/tenants/other/notifications/test")).status_code == 202


async def test_a_test_that_reaches_no_address_does_not_count(site: Site) -> None:
    for _ in range(11):
        assert (await site.api("owner").post(f"{NOTIFICATIONS}/test")).status_code == 409
    await site.office.tenants.change_settings("acme", {"notify_email": ["hr@acme.example"]})
    assert (await site.api("owner").post(f"{NOTIFICATIONS}/test")).status_code == 202
