"""Replaces the conftest.py of paramiko's tests: the same fixtures, for a running server."""

import os
from collections.abc import Iterator
from uuid import uuid4

import paramiko
import pytest


@pytest.fixture
def sftp_server() -> Iterator[paramiko.Transport]:
    transport = paramiko.Transport((os.environ["PEER_HOST"], int(os.environ["PEER_PORT"])))
    transport.connect(username="acme", pkey=paramiko.Ed25519Key.from_private_key_file(os.environ["PEER_KEY_FILE"]))
    yield transport
    transport.close()


@pytest.fixture
def sftp(sftp_server: paramiko.Transport) -> paramiko.SFTPClient:
    client = paramiko.SFTPClient.from_transport(sftp_server)
    assert client is not None
    client.FOLDER = str(uuid4())  # type: ignore[attr-defined]
    client.mkdir(client.FOLDER)  # type: ignore[attr-defined]
    return client
