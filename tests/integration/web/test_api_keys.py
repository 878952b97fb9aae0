"""Keys in the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncssh
import pytest

from tests.support.site import Site, open_site

KEYS = "/api/v1/tenants/acme/keys"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def public_key(with_letters: str = "") -> str:
    """Return a new key whose fingerprint has all of these characters."""
    while True:
        key = asyncssh.generate_private_key("ssh-ed25519")
        if set(with_letters) <= set(key.get_fingerprint()):
            return key.export_public_key().decode().strip()


async def added(site: Site, **fields: Any) -> Any:
    answer = await site.api("owner").post(KEYS, json={"key": public_key(), **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_key_is_added_shown_and_listed(site: Site) -> None:
    sent = {"comment": "payroll", "expires": "2099-12-31", "networks": ["192.0.2.0/24"]}
    answer = await site.api("owner").post(KEYS, json={"key": public_key("/+"), **sent})
    assert answer.status_code == 201
    key = answer.json()
    assert {name: key[name] for name in sent} == sent
    assert (await site.api("viewer").get(answer.headers["location"])).json() == key
    assert (await site.api("viewer").get(KEYS)).json() == {"keys": [key], "next": None}


@pytest.mark.parametrize("encoded", [True, False])
async def test_a_key_is_revoked_by_a_fingerprint_with_slashes(site: Site, encoded: bool) -> None:
    key = await added(site, key=public_key("/+"))
    named = quote(key["fingerprint"], safe="") if encoded else key["fingerprint"]
    answer = await site.api("owner").delete(f"{KEYS}/{named}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await site.api("owner").get(KEYS)).json()["keys"] == []
    again = await site.api("owner").delete(f"{KEYS}/{named}")
    assert (again.status_code, again.json()["code"]) == (404, "key_unknown")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"key": "nonsense"}, 422, "key_type"),
        ({"expires": "2001-01-01"}, 422, "key_expires"),
        ({"networks": ["nowhere"]}, 422, "key_network"),
        ({"comment": "a\u0007b"}, 422, "key_comment"),
        ({"coment": "x"}, 422, "bad_request"),
        ({"key": None}, 422, "bad_request"),
    ],
)
async def test_a_key_that_is_not_accepted_says_why(
    site: Site, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = await site.api("owner").post(KEYS, json={"key": public_key(), **fields})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await site.api("owner").get(KEYS)).json()["keys"] == []


async def test_a_key_is_not_added_twice(site: Site) -> None:
    key = await added(site)
    answer = await site.api("owner").post(KEYS, json={"key": f"{key['type']} {key['key']}"})
    assert (answer.status_code, answer.json()["code"]) == (409, "key_duplicate")
