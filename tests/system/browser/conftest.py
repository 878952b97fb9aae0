"""The servers of the flows in a browser: one for all tests of a module, and one with mails for a single test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.mailserver import MailHost
from tests.support.ports import free_port
from tests.support.server_process import ServerProcess

NAMES = (f"acme{number}" for number in count(1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def tenant(server: ServerProcess) -> str:
    """Add a tenant for the test, whose files are complete lists."""
    name = next(NAMES)
    server.add_tenant(name, deactivate_missing="true")
    return name


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailHost]:
    with MailHost(tmp_path) as host:
        yield host


@pytest.fixture
def mailing(tmp_path: Path, mail: MailHost) -> Iterator[ServerProcess]:
    """Start a server with mails that link to it, and the company acme."""
    port = free_port()
    env = {
        "HEADCOUNT_HTTP_PORT": str(port),
        "HEADCOUNT_HTTP_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "HEADCOUNT_SMTP_FROM": "headcount@acme.example",
    }
    with ServerProcess(tmp_path, env=env) as started:
        started.add_tenant("acme", notify_email="hr@acme.example")
        yield started
