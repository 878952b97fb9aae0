"""One channel of a connection. It serves only the subsystem `sftp`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from asyncssh.stream import SSHReader, SSHServerStreamSession, SSHWriter

from server.sftp.filesystem import TenantFiles
from server.sftp.handler import SftpHandler
from server.sftp.wire import keep_no_environment, no_lines, send_at_once

if TYPE_CHECKING:
    from server.sftp.connection import Connection

log = logging.getLogger(__name__)

SMALLEST_PACKETS = 1024
"""Bytes. A client that accepts only smaller packets than this is an attack on the server's time."""


class SftpSession(SSHServerStreamSession[bytes]):
    """One channel."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(None)
        self._connection = connection
        self._interrupted = False

    def connection_made(self, chan: Any) -> None:
        super().connection_made(chan)
        no_lines(chan)
        send_at_once(chan)
        keep_no_environment(chan)
        if chan._send_pktsize < SMALLEST_PACKETS:
            self._connection.end(f"Packets too small: a channel must accept at least {SMALLEST_PACKETS:,} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection.channels -= 1

    def shell_requested(self) -> bool:
        return False

    def exec_requested(self, command: str) -> bool:
        return False

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Ignore it. (The stock stream passes it to the reader as an exception, which ends the connection.)"""

    def exception_received(self, exc: Exception) -> None:
        """End the session at the first break or signal. More of them would only pile up until that is read."""
        if not self._interrupted:
            self._interrupted = True
            super().exception_received(exc)

    def session_started(self) -> None:
        connection, channel = self._connection, cast(Any, self._chan)
        if connection.login is None:
            return
        task = asyncio.create_task(_serve(connection, self, channel), name="sftp session")
        connection.sessions.tasks.add(task)
        task.add_done_callback(connection.sessions.tasks.discard)


async def _serve(connection: Connection, session: SftpSession, channel: Any) -> None:
    sessions, login = connection.sessions, connection.login
    account = sessions.tenants.account(login.tenant) if login else None
    if account is None:
        channel.close()
        return
    try:
        files = sessions.files(account.name, account.root)
    except OSError as error:
        log.error("The files of %s cannot be opened: %s", account.name, error, extra={"event": "no_files"})
        channel.close()
        return
    try:
        handler = SftpHandler(
            TenantFiles(
                *(channel, files, lambda: connection.limits, sessions.metrics),
                longest_read=sessions.settings.max_read_bytes,
            ),
            SSHReader(session, channel),
            SSHWriter(session, channel),
            handles=connection.handles,
            taken=connection.drained,
            active=connection.touch,
        )
        connection.handlers.add(handler)
        try:
            await handler.run()
        finally:
            connection.handlers.discard(handler)
    finally:
        files.leave()
