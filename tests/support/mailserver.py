"""A real SMTP server (aiosmtpd) on a free port, in its own thread: it accepts mail, refuses it, hangs, or dies.

with MailHost(tls=True, login=("headcount", "secret")) as host:
    ...  # host.port, host.ca (a file to trust), host.mails
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.ports import free_port


class MailHost:
    """Received mails are in `mails`, in order. `answer` returns the answer to a mail: None accepts it, "" sends none.

    `tls` is None, "starttls" or "smtps". With `login`, the server refuses a client that did not log in.
    """

    def __init__(
        self, folder: Path, *, tls: str | None = None, login: tuple[str, str] | None = None, port: int = 0
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.tries = 0
        self.logins = 0
        self.answer: Callable[[EmailMessage], str | None] = lambda mail: None
        self.dies_at_data = False
        self.refuses: dict[str, str] = {}
        self.ca = folder / "ca.pem"
        self.port = port or free_port()  # it stays free while the host is away
        self._tls = tls
        self._login = login
        self._context: ssl.SSLContext | None = None
        if tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(self.ca)
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1", "localhost").configure_cert(self._context)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail host")
        self._server: asyncio.Server | None = None
        self._protocols: list[SMTP] = []

    def __enter__(self) -> MailHost:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def go_away(self) -> None:
        """Close the port and every connection."""
        asyncio.run_coroutine_threadsafe(self.hang_up(), self._loop).result()

    def come_back(self) -> None:
        """Listen again, on the same port."""
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result()

    @property
    def ids(self) -> list[str]:
        return [mail["Message-ID"] for mail in self.mails]

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if address in mail["To"]]

    async def listen(self) -> None:
        self._server = await self._loop.create_server(
            self._protocol, "127.0.0.1", self.port, ssl=self._context if self._tls == "smtps" else None
        )

    async def hang_up(self) -> None:
        if self._server:
            self._server.close()
        for protocol in self._protocols:
            if protocol.transport:
                with suppress(AttributeError):  # of Python 3.11.2, if it has just closed by itself
                    protocol.transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._protocols.clear()

    def _protocol(self) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # otherwise it does not treat TLS from the first byte as TLS
            protocol = SMTP(
                self,
                hostname="mail.example.com",
                loop=self._loop,
                enable_SMTPUTF8=True,
                tls_context=self._context if self._tls == "starttls" else None,
                authenticator=self._authenticate if self._login else None,
                auth_required=bool(self._login),
                auth_require_tls=self._tls == "starttls",
            )
        self._protocols.append(protocol)
        return protocol

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert self._login
        assert isinstance(data, LoginPassword)
        right = (data.login.decode(), data.password.decode()) == self._login
        self.logins += right
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.tries += 1
        answer = self.answer(mail)
        if answer == "":
            await asyncio.sleep(3600)  # until hang_up
        if answer is None:
            self.mails.append(mail)
        if self.dies_at_data:
            assert server.transport
            server.transport.abort()
        return answer or "250 OK"
