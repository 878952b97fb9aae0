"""A flood of malformed HTTP, with and without a token: no traceback, no open descriptor, and uploads continue."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until
from tests.support.wrong_requests import damaged, owners, strangers

DAMAGED = 600
AT_ONCE = 30
GIVES_UP_S = 1.0
"""A client waits this long for an answer, because some requests are incomplete and get none."""
LATE_S, LONGEST_S = 0.5, 10.0
"""A server that takes longer to say that it lives had no time for its clients: they go on waiting, but not longer."""
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def is_late(port: int) -> bool:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HEALTH)
        await asyncio.wait_for(reader.read(), DEADLINE_S)
    finally:
        writer.close()
    return time.monotonic() - began > LATE_S


async def answer(reader: asyncio.StreamReader, port: int) -> bytes:
    """Return the start of an answer. Raises TimeoutError if there is none, although the server is not late."""
    async with asyncio.timeout(LONGEST_S):
        coming = asyncio.ensure_future(reader.read(300))
        try:
            while not (await asyncio.wait([coming], timeout=GIVES_UP_S))[0]:
                if not await is_late(port):
                    raise TimeoutError
            return await coming
        finally:
            coming.cancel()


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
                    heard.append(await answer(reader, port))
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
