"""Hooks that are a URL, against a real HTTP server: the file arrives signed; the answer decides the end."""

from __future__ import annotations

import asyncio
import base64
import hmac
from pathlib import Path

import pytest

from headcount.hooks import Result
from importer.folder import TenantFolder
from server.guarded import Poster
from server.runs.ends import Again, Done, Failed
from server.runs.outside.posting import PIECE, UrlHook
from server.signing import SecretFiles, key_of, webhook_secret
from tests.support.attempts import attempt_of
from tests.support.waiting import eventually
from tests.support.webhost import WebHost


def url_hook(url: str, folder: Path, *, allow_private: bool = True, timeout_s: float = 30) -> UrlHook:
    secrets = SecretFiles(lambda tenant: TenantFolder(folder))
    return UrlHook(url, Poster(allow_private=allow_private), secrets, timeout_s)


async def test_a_receiver_gets_the_file_and_can_verify_its_signature(tmp_path: Path) -> None:
    content = bytes(range(256)) * 2048 + b"end"
    assert len(content) > PIECE
    attempt = attempt_of(tmp_path, content, path="/invoices/März.csv", number=2)
    with WebHost() as host:
        end = await url_hook(host.url, tmp_path).deliver(attempt)
    assert end == Done(Result())
    (call,) = host.calls
    assert call.body == content
    assert call.headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in call.headers
    assert call.headers["headcount-tenant"] == "acme"
    assert call.headers["headcount-path"] == "/invoices/M%C3%A4rz.csv"
    assert call.headers["headcount-attempt"] == "2"
    assert call.headers["webhook-id"].startswith("run_acme_invoices_7_")
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + content
    key = key_of(webhook_secret(TenantFolder(tmp_path).webhook_secret))
    mac = base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
    assert call.headers["webhook-signature"] == f"v1,{mac}"


async def test_an_empty_file_is_posted_too(tmp_path: Path) -> None:
    with WebHost() as host:
        assert await url_hook(host.url, tmp_path).deliver(attempt_of(tmp_path, b"")) == Done(Result())
    assert host.calls[0].body == b""


async def test_a_receiver_that_is_busy_gets_the_file_again(tmp_path: Path) -> None:
    with WebHost(lambda call: 503) as host:
        end = await url_hook(host.url, tmp_path).deliver(attempt_of(tmp_path, b"a"))
    assert end == Again("The receiver answered 503.", f"http://127.0.0.1:{host.port}: the receiver answered 503")


async def test_a_redirect_is_not_followed_and_fails_the_run(tmp_path: Path) -> None:
    with WebHost() as elsewhere, WebHost(lambda call: 307) as host:
        host.location = elsewhere.url
        end = await url_hook(host.url, tmp_path).deliver(attempt_of(tmp_path, b"a"))
    assert isinstance(end, Failed)
    assert elsewhere.calls == []


async def test_a_private_address_is_not_reached_unless_the_operator_allows_it(tmp_path: Path) -> None:
    with WebHost() as host:
        hook = url_hook(host.url, tmp_path, allow_private=False)
        end = await hook.deliver(attempt_of(tmp_path, b"a"))
    assert isinstance(end, Again)
    assert "not public" in end.message
    assert host.calls == []


async def test_a_receiver_that_hangs_is_left_after_the_time_limit(tmp_path: Path) -> None:
    with WebHost(lambda call: 0) as host:
        end = await url_hook(host.url, tmp_path, timeout_s=0.2).deliver(attempt_of(tmp_path, b"a"))
    assert isinstance(end, Again)
    assert end.message == "The receiver did not answer within 0.2 seconds."


async def test_no_password_of_the_address_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with WebHost(lambda call: 500) as host:
        end = await url_hook(f"{host.url}/s3cret?token=s3cret", tmp_path).deliver(attempt_of(tmp_path, b"a"))
    assert host.calls[0].path == "/hook/s3cret?token=s3cret"
    assert "s3cret" not in str(end)
    assert caplog.messages == [f"The hook invoices failed: http://127.0.0.1:{host.port}: the receiver answered 500."]


async def test_a_copy_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    attempt = attempt_of(tmp_path, b"abc")
    attempt.copy.unlink()
    with WebHost() as host:
        end = await url_hook(host.url, tmp_path).deliver(attempt)
    assert isinstance(end, Again)
    assert (end.error or "").startswith("FileNotFoundError")
    assert host.calls == []


@pytest.mark.parametrize("now", [b"ab", b"abcd"])
async def test_a_copy_that_was_changed_is_not_sent_as_the_file(tmp_path: Path, now: bytes) -> None:
    attempt = attempt_of(tmp_path, b"abc")
    attempt.copy.write_bytes(now)
    with WebHost() as host:
        end = await url_hook(host.url, tmp_path).deliver(attempt)
    assert isinstance(end, Again)
    assert end.error == f"the copy of the file has {len(now)} bytes, not 3"
    assert host.calls == []


async def test_a_stop_ends_the_request(tmp_path: Path) -> None:
    with WebHost(lambda call: 0) as host:
        running = asyncio.create_task(url_hook(host.url, tmp_path).deliver(attempt_of(tmp_path, b"a")))
        await eventually(lambda: bool(host.calls))
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
