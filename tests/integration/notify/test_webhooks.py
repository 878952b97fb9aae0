"""Webhooks against a real HTTP server: signed, refused, hanging, redirecting; and never to private addresses."""

from __future__ import annotations

import base64
import hmac
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server import guarded
from server.notify.webhooks import WebhookFailed, Webhooks
from server.signing import key_of, renew_secret, webhook_secret
from tests.support.webhost import WebHost

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONTENT: dict[str, Any] = {"type": "import.held", "data": {"name": "Zoë"}}


async def send(url: str, *, allow_private: bool = True, timeout_s: float = 10.0) -> None:
    await Webhooks(allow_private=allow_private, timeout_s=timeout_s).send(url, SECRET, "abc", CONTENT)


async def test_a_receiver_can_verify_the_signature() -> None:
    with WebHost() as host:
        await send(host.url + "?a=b")
    (call,) = host.calls
    assert call.path == "/hook?a=b"
    assert call.json == CONTENT
    assert call.headers["content-type"] == "application/json"
    assert call.headers["webhook-id"] == "msg_abc"
    signed = f"msg_abc.{call.headers['webhook-timestamp']}.".encode() + call.body
    version, _, mac = call.headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert mac == base64.b64encode(hmac.new(key_of(SECRET), signed, "sha256").digest()).decode()


@pytest.mark.parametrize(("status", "for_good"), [(500, False), (404, False), (429, False), (410, True)])
async def test_an_answer_other_than_2xx_is_a_failure(status: int, for_good: bool) -> None:
    with WebHost(lambda call: status) as host, pytest.raises(WebhookFailed, match=f"answered {status}") as failed:
        await send(host.url)
    assert failed.value.for_good is for_good


async def test_a_redirect_is_not_followed() -> None:
    with WebHost() as elsewhere, WebHost(lambda call: 307) as host:
        host.location = elsewhere.url
        with pytest.raises(WebhookFailed, match="307"):
            await send(host.url)
    assert elsewhere.calls == []


async def test_a_receiver_that_hangs_is_given_up_after_the_timeout() -> None:
    with WebHost(lambda call: 0) as host, pytest.raises(WebhookFailed, match=r"did not answer within 0\.2 seconds"):
        await send(host.url, timeout_s=0.2)


async def test_a_receiver_that_cannot_be_reached_is_a_failure() -> None:
    with pytest.raises(WebhookFailed, match="cannot be reached"):
        await send("http://127.0.0.1:1/")
    with pytest.raises(WebhookFailed, match="cannot be reached"):
        await send("http://no-such-host.invalid/")


@pytest.mark.parametrize(
    "url", ["http://bücher.example/", "http://example.com:99999/", "http://a..b/", "http://[::1/"]
)
async def test_an_invalid_address_is_a_failure(url: str) -> None:
    with pytest.raises(WebhookFailed, match="the address is not valid"):
        await send(url)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"])
async def test_no_notation_of_a_loopback_address_is_reached(name: str) -> None:
    with WebHost() as host, pytest.raises(WebhookFailed):
        await send(f"http://{name}:{host.port}/", allow_private=False)
    assert host.calls == []


async def test_the_address_of_the_connection_is_the_one_that_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has a public address first and a private one later: the checked address is the one that is used."""
    with WebHost() as host:
        answers = iter([["192.168.1.1", "127.0.0.1"]])

        def resolve(name: str, port: int) -> list[str]:
            return next(answers)  # asked twice, it would raise

        monkeypatch.setattr(guarded, "_addresses_of", resolve)
        with pytest.raises(WebhookFailed, match="the address is not public"):
            await send(f"http://rebinding.example:{host.port}/", allow_private=False)
    assert host.calls == []


async def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with WebHost() as host:

        def resolve(name: str, port: int) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]  # no server listens on the first

        monkeypatch.setattr(guarded, "_addresses_of", resolve)
        await send(f"http://two.example:{host.port}/")
    assert host.calls[0].headers["host"] == f"two.example:{host.port}"


def test_a_slow_name_lookup_does_not_delay_the_stop() -> None:
    """A look-up cannot be stopped; a server that stops must not wait for it."""
    script = (
        "import asyncio, sys, time\n"
        "from server import guarded\n"
        "from server.notify import webhooks\n"
        "guarded._addresses_of = lambda name, port: time.sleep(600)\n"
        "hooks = webhooks.Webhooks(allow_private=True, timeout_s=0.2)\n"
        "try:\n"
        "    asyncio.run(hooks.send('http://slow.example/', sys.argv[1], 'a', {}))\n"
        "except webhooks.WebhookFailed as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, SECRET], timeout=120, check=True, capture_output=True, text=True
    )
    assert "did not answer within 0.2 seconds" in done.stdout


def test_a_secret_is_created_once_and_renewed_on_demand(tmp_path: Path) -> None:
    file = tmp_path / "webhook.secret"
    first = webhook_secret(file)
    assert first.startswith("whsec_")
    assert len(key_of(first)) == 32
    assert webhook_secret(file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert renew_secret(file) != first
    assert [path.name for path in tmp_path.iterdir()] == ["webhook.secret"]
