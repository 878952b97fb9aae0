"""Whoever crowds the web side takes nothing from those who send files."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

from server.web.slow_clients import CONNECTIONS_MOST
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

SPARE = 800
"""Descriptors the server has besides."""


@needs("sftp")
def test_a_crowd_of_silent_clients_keeps_nobody_from_sending_files(tmp_path: Path) -> None:
    descriptors = CONNECTIONS_MOST + SPARE
    with ServerProcess(tmp_path) as server, ExitStack() as crowd:
        server.add_tenant("acme")
        assert server.process
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        for _ in range(descriptors + 200):
            crowd.enter_context(socket.create_connection(("127.0.0.1", server.http_port)))
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"
