"""Clients of many tenants that send ever longer lists to a real server, and note what they got OK for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType

from tests.support.importing import people
from tests.support.server_process import ServerProcess

PAUSE_S = 0.3
"""How long a client rests after each list, so that the server works on more than its uploads."""


class BusyClients:
    """Sends lists for each tenant in a thread until the end of the context. List n has the users p0 to pn.

    `ok` has, by tenant, the newest list that its client got OK for, and the newest plain file.
    """

    def __init__(self, server: ServerProcess, tenants: Sequence[str]) -> None:
        self.ok: dict[str, int] = dict.fromkeys(tenants, 0)
        self.plain: dict[str, int] = dict.fromkeys(tenants, -1)
        self.errors: list[BaseException] = []
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="clients")

    def __enter__(self) -> BusyClients:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        assert not self.errors, self.errors

    async def _run(self) -> None:
        await asyncio.gather(*(self._send(tenant) for tenant in self.ok))

    async def _send(self, tenant: str) -> None:
        try:
            async with self._server.connect(tenant) as connection, connection.start_sftp_client() as sftp:
                while not self._ending.is_set():
                    number = self.ok[tenant] + 1
                    async with sftp.open("/new.csv", "wb") as file:
                        await file.write(people(*(f"p{each}" for each in range(number + 1))))
                    await sftp.posix_rename("/new.csv", "/sync_users.csv")
                    self.ok[tenant] = number
                    async with sftp.open(f"/a-{number}.txt", "wb") as file:
                        await file.write(b"x")
                    self.plain[tenant] = number
                    await sftp.posix_rename(f"/a-{number}.txt", f"/test/a-{number}.txt")
                    await asyncio.sleep(PAUSE_S)
        except BaseException as error:
            self.errors.append(error)
