"""Connections to S3-compatible storage: faults in words, and a certificate of its own only if it is named."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from engine.s3.objects import S3Objects
from engine.s3.urls import parse_bucket
from importer.errors import FilesAway
from tests.support.bucket import bucket_of, key_file, storage
from tests.support.faulty_storage import FaultyStorage

AUTHORITY = trustme.CA()


@pytest.fixture
def secured() -> Iterator[str]:
    """Yield the address of the storage over TLS."""
    proxy = FaultyStorage(storage())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"https://localhost:{proxy.server_port}"
    proxy.shutdown()
    proxy.server_close()
    thread.join()


def objects(folder: Path, endpoint: str) -> S3Objects:
    return S3Objects(parse_bucket(bucket_of(folder, endpoint)), key_file(folder))


async def test_a_certificate_of_an_unknown_authority_is_refused_in_words(secured: str, tmp_path: Path) -> None:
    with pytest.raises(FilesAway) as refused:
        await objects(tmp_path, secured).put("a", b"1")
    assert refused.value.why == "its certificate is not accepted: UnknownIssuer"


async def test_a_certificate_of_an_authority_in_ssl_cert_file_is_accepted(
    secured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    found = objects(tmp_path, secured)
    await found.put("a", b"12")
    assert await found.read("a", 1, 2) == b"2"


async def test_a_host_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(FilesAway) as away:
        await objects(tmp_path, "http://127.0.0.1:1").size("a")
    assert away.value.why == "the connection cannot be made"


async def test_a_bucket_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    bucket = parse_bucket(f"s3://absent?endpoint={storage()}&region=eu-central-1")
    found = S3Objects(bucket, key_file(tmp_path))
    for act in (found.put("a", b"1"), found.read("a", 0, 1), found.list("a", "", 9), found.delete(["a"])):
        with pytest.raises(FilesAway) as away:
            await act
        assert away.value.why == "it answers 404 NoSuchBucket"
