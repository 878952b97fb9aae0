"""The page of keys: keys are added and revoked, private keys are refused; and how to connect."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from keys.ring import KeyRing
from tests.support.keypairs import keypair, public_line
from tests.support.pages import done
from tests.support.site import HOST_KEYS, Site, open_site

KEYS = "/tenants/acme/keys"
PUBLIC = public_line()
PRIVATE = keypair().export_private_key().decode()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.fixture
async def owner(site: Site) -> httpx.AsyncClient:
    return await site.browser("owner")


@pytest.fixture
def ring(site: Site) -> KeyRing:
    return site.office.tenants.ring("acme")


def part(text: str, name: str) -> str:
    """Return the text of the element with this id."""
    return html.unescape(text.split(f'id="{name}"')[1].partition(">")[2].partition("</")[0]).removeprefix("\n")


async def test_without_keys_the_page_says_what_to_do(owner: httpx.AsyncClient) -> None:
    text = (await owner.get(KEYS)).text
    assert "No keys yet" in text
    assert "ssh-keygen -t ed25519" in text


async def test_programs_with_windows_come_before_commands(owner: httpx.AsyncClient) -> None:
    text = (await owner.get(KEYS)).text
    assert text.index("PuTTYgen, which comes with WinSCP") < text.index("ssh-keygen -t ed25519")
    programs = re.findall(r'<details class="card">\s*<summary>([^<]+)</summary>', text)
    assert programs == ["WinSCP", "FileZilla", "OpenSSH: sftp"]


async def test_a_pasted_key_is_added_with_comment_expiry_and_networks(
    ring: KeyRing, owner: httpx.AsyncClient
) -> None:
    form = {"key": PUBLIC, "comment": "Payroll", "expires": "2099-01-31", "networks": "192.0.2.0/24, 2001:db8::7"}
    answer = await owner.post(KEYS, data=form)
    assert done(answer) == (f"{KEYS}", "key-added")
    (key,) = await ring.keys()
    assert (key.comment, key.expires) == ("Payroll", "2099-01-31")
    text = (await owner.get(answer.headers["location"])).text
    for shown in ("Key added.", "Payroll", key.fingerprint, "Ed25519", "2099-01-31", "192.0.2.0/24", "never"):
        assert shown in text, shown


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_a_key_can_be_added_from_a_file(ring: KeyRing, owner: httpx.AsyncClient, encoding: str) -> None:
    file = ("id.pub", PUBLIC.encode(encoding), "text/plain")
    answer = await owner.post(KEYS, data={"key": "", "comment": ""}, files={"file": file})
    assert answer.status_code == 303
    (key,) = await ring.keys()
    assert key.comment == "key 0"


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"key": "nonsense"}, "key", "This is not a key of a supported type"),
        ({"key": ""}, "key", "There is no key here"),
        ({"key": PUBLIC, "expires": "2001-01-01"}, "expires", "already past"),
        ({"key": PUBLIC, "networks": "192.0.2.1/24"}, "networks", "did you mean 192.0.2.0/24?"),
        ({"key": PUBLIC, "comment": "x" * 201}, "comment", "longer than 200 characters"),
    ],
)
async def test_an_error_is_shown_beside_its_field_and_the_form_is_kept(
    ring: KeyRing, owner: httpx.AsyncClient, form: dict[str, str], field: str, sentence: str
) -> None:
    answer = await owner.post(KEYS, data={**form, "comment": form.get("comment", '"><b>Ann')})
    assert answer.status_code == 422
    assert sentence in part(answer.text, f"{field}-error")
    assert part(answer.text, "key").strip() == form["key"].strip()
    assert "<b>Ann" not in answer.text
    assert await ring.keys() == ()


async def test_a_private_key_is_refused_and_never_sent_back(ring: KeyRing, owner: httpx.AsyncClient) -> None:
    secret = PRIVATE.splitlines()[1]
    file = ("id", PRIVATE.encode(), "text/plain")
    for sent in ({"data": {"key": PRIVATE}}, {"data": {"key": PUBLIC}, "files": {"file": file}}):
        answer = await owner.post(KEYS, **sent)
        assert answer.status_code == 422
        assert "This is a PRIVATE key" in part(answer.text, "key-error")
        assert secret not in answer.text
    assert await ring.keys() == ()


async def test_the_same_key_is_not_added_twice(ring: KeyRing, owner: httpx.AsyncClient) -> None:
    await owner.post(KEYS, data={"key": PUBLIC})
    answer = await owner.post(KEYS, data={"key": PUBLIC})
    assert answer.status_code == 409
    assert "This key is already added" in part(answer.text, "key-error")
    assert len(await ring.keys()) == 1


async def test_a_key_is_revoked(ring: KeyRing, owner: httpx.AsyncClient) -> None:
    key = await ring.add(PUBLIC)
    assert "This is the only key that works." in (await owner.get(KEYS)).text
    answer = await owner.post(f"{KEYS}/revoke", data={"fingerprint": key.fingerprint})
    assert done(answer) == (f"{KEYS}", "key-revoked")
    assert await ring.keys() == ()
    assert (await owner.post(f"{KEYS}/revoke", data={"fingerprint": key.fingerprint})).status_code == 404


async def test_the_warning_about_the_only_key_ignores_expired_keys(ring: KeyRing, owner: httpx.AsyncClient) -> None:
    await ring.add(PUBLIC, expires="2001-01-31", now=datetime(2000, 1, 1, tzinfo=UTC))
    for number in (1, 2):
        await ring.add(public_line(number=number))
    text = (await owner.get(KEYS)).text
    assert "Expired" in text
    assert "only key that works" not in text


async def test_a_key_shows_when_and_where_it_was_last_used(
    site: Site, ring: KeyRing, owner: httpx.AsyncClient
) -> None:
    site.office.key_uses.used("acme", (await ring.add(PUBLIC)).fingerprint, "203.0.113.9")
    assert "from 203.0.113.9" in (await owner.get(KEYS)).text


async def test_a_viewer_sees_the_keys_but_cannot_change_them(site: Site, ring: KeyRing) -> None:
    await ring.add(PUBLIC, "<i>Payroll")
    text = (await (await site.browser("viewer")).get(KEYS)).text
    assert "&lt;i&gt;Payroll" in text
    assert "Revoke" not in text
    assert "Add this key" not in text


async def test_how_to_connect_shows_the_host_key_fingerprints(site: Site) -> None:
    text = html.unescape((await (await site.browser("viewer")).get(KEYS)).text)
    port = site.office.sftp_port()
    assert f"sftp -P {port} -i headcount acme@127.0.0.1" in text
    assert HOST_KEYS[0].fingerprint in text
    assert f"[127.0.0.1]:{port} {HOST_KEYS[0].public}" in text
