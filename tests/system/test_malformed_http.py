"""A flood of malformed HTTP, with and without a token: no traceback, no open descriptor, and uploads continue."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.wrong_requests import damaged, owners, strangers

DAMAGED = 600
AT_ONCE = 30
GIVES_UP_S = 1.0
"""A client waits this long for an answer, because some requests are incomplete and get none."""


async def send_all(port: int, requests: list[bytes]) -> list[bytes]:
    """Send each request over its own connection; every third ends its side at once. Return the answers' starts."""
    waiting, heard = iter(enumerate(requests)), []

    async def client(number: int) -> None:
        for turn, request in waiting:
            with suppress(OSError, TimeoutError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(f"127.0.8.{1 + number}", 0)
                )
                try:
                    writer.write(request)
                    if turn % 3 == 0:
                        writer.write_eof()
                    heard.append(await asyncio.wait_for(reader.read(300), GIVES_UP_S))
                finally:
                    writer.close()

    await asyncio.gather(*map(client, range(AT_ONCE)))
    return heard


@needs("sftp")
def test_no_malformed_request_causes_a_traceback_or_stops_an_upload(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"HEADCOUNT_LOG_LEVEL": "warning"}) as server:
        server.add_tenant("acme")
        server.add_tenant("umbrella")
        server.put("umbrella", people("ann"))
        assert server.wait("umbrella")["state"] == "completed"
        owner = server.cli("token", "create", "acme", "--role", "owner").text.strip()
        assert server.process
        descriptors = Path(f"/proc/{server.process.pid}/fd")
        before = len(os.listdir(descriptors))
        whole = [*strangers(), *owners(owner, b"acme")]
        for part in (whole, list(damaged(whole, DAMAGED, seed=1))):
            heard = asyncio.run(send_all(server.http_port, part))
            assert sum(each.startswith(b"HTTP/1.1 4") for each in heard) > len(part) / 3
            assert not [each for each in heard if each.startswith(b"HTTP/1.1 500")]
            server.put("umbrella", people("ann", "bob"))
            assert server.wait("umbrella")["state"] in {"completed", "unchanged"}
        most = before + server.stored.connections + 6
        wait_until(lambda: len(os.listdir(descriptors)) <= most, what="all descriptors to be free again")
        assert "Traceback" not in server.log.read_text()
        assert set(server.events()) <= {"data_folder_absent", "listening", "http_crowded", "source_banned"}
