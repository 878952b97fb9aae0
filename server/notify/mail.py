"""Mail over SMTP, over one connection that stays open between messages.

`smtps://` is TLS from the first byte, `smtp+starttls://` requires STARTTLS, `smtp://` uses it if offered.
Certificates are checked. A password is sent only over TLS, or to this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from socket import getfqdn
from urllib.parse import unquote, urlsplit

import aiosmtplib
from email_validator import EmailNotValidError, validate_email

from ground.moments import Clock, utc_now
from importer.file.letters import one_line
from importer.rules.emails import fits_header
from server.notify.layout import Letter

TIMEOUT_S = 30.0
"""Seconds to wait for each answer of the mail server."""

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class MailRefused(Exception):  # noqa: N818 - what the server did
    """The server refused this message. `for_good`: a retry would be refused too."""

    def __init__(self, reason: str, *, for_good: bool) -> None:
        super().__init__(reason)
        self.for_good = for_good


class ServerAway(Exception):  # noqa: N818 - what is the case
    """No message can be sent now: no connection, no TLS, no login, or the connection was lost."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The mail server of HEADCOUNT_SMTP_URL."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @classmethod
    def from_url(cls, url: str) -> MailServer:
        parts = urlsplit(url)
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme], user, password)

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, so that a password does not cross a network."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def sender_of(server: MailServer, smtp_from: str | None) -> str:
    """Return the sender: the setting, else the login if it is an address, else headcount@ and this machine."""
    if smtp_from:
        return smtp_from
    return server.user if server.user and "@" in server.user else f"headcount@{getfqdn()}"


class Mailer:
    """Sends mails through one server, one after the other."""

    def __init__(
        self, server: MailServer, sender: str, *, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now
    ) -> None:
        self._server = server
        self._sender = sender
        self._timeout_s = timeout_s
        self._clock = clock
        self._client: aiosmtplib.SMTP | None = None

    async def send(self, to: Sequence[str], letter: Letter, message_id: str) -> str | None:
        """Send one mail; the server has accepted it when this returns. Raises MailRefused, ServerAway.

        The same `message_id` gives the same Message-ID. If the server refused some of the recipients, return a note
        that says how many.
        """
        message = self._message(to, letter, message_id)
        client = await self._connected()
        try:
            refused, _ = await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [each.code for each in error.recipients]
            raise MailRefused(_answers(codes), for_good=all(code >= 500 for code in codes)) from error
        except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPHeloError, OSError) as error:
            await self.close()
            raise ServerAway(_reason(error)) from error
        except aiosmtplib.SMTPResponseException as error:
            if error.code == 421 or isinstance(error, aiosmtplib.SMTPSenderRefused):
                raise ServerAway(_reason(error)) from error
            raise MailRefused(_answers([error.code]), for_good=error.code >= 500) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise MailRefused("the mail server does not support this kind of address", for_good=True) from error
        except aiosmtplib.SMTPException as error:
            await self.close()
            raise ServerAway(_reason(error)) from error
        if not refused:
            return None
        answers = _listed([each.code for each in refused.values()])
        return f"the mail server refused {len(refused)} of {len(to)} addresses ({answers})"

    async def close(self) -> None:
        """Close the connection, if it is open."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def leave(self) -> None:
        """End the connection with QUIT, until the next mail."""
        client, self._client = self._client, None
        if client is not None and client.is_connected:
            try:
                await client.quit()
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.scheme == "smtps",
            start_tls={"smtps": False, "smtp+starttls": True, "smtp": None}[server.scheme],
            local_hostname=None,
            timeout=self._timeout_s,
        )
        try:
            await client.connect()
            if server.user is not None:
                await self._log_in(client)
        except (aiosmtplib.SMTPException, OSError, ServerAway) as error:
            client.close()
            raise ServerAway(_reason(error)) from error
        self._client = client
        return client

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        if client.get_transport_info("sslcontext") is None and not self._server.is_here:
            raise ServerAway("the mail server offers no TLS, and a password is never sent without it")
        await client.login(self._server.user or "", self._server.password or "")

    def _message(self, to: Sequence[str], letter: Letter, message_id: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = Address("Headcount", addr_spec=self._sender)
        message["To"] = ", ".join(deliverable(address) for address in to)
        # The email library decodes encoded words here, even into line ends: a name could add headers.
        message["Subject"] = one_line(letter.subject).replace("=?", "= ?")
        message["Date"] = format_datetime(self._clock())
        message["Message-ID"] = f"<{message_id}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        if letter.html:
            message.add_alternative(letter.html, subtype="html")
        return message


def deliverable(address: str) -> str:
    """Return `address` with its domain in ASCII, as mail servers need it. Raises MailRefused if it is not valid.

    An address with an encoded word (`=?utf-8?q?...?=@example.com`) is refused: the header would show another address.
    """
    if not fits_header(address):
        raise MailRefused("this address cannot be written in a mail header", for_good=True)
    if address.isascii():
        return address
    try:
        found = validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise MailRefused("this is not a valid email address", for_good=True) from error
    return found.ascii_email or f"{found.local_part}@{found.ascii_domain}"


def _answers(codes: Sequence[int]) -> str:
    return f"the mail server refused the mail ({_listed(codes)})"


def _listed(codes: Sequence[int]) -> str:
    return ", ".join(str(code) for code in dict.fromkeys(codes))


def _reason(error: Exception) -> str:
    """Return the reason, without the words of the server, which may quote addresses."""
    if isinstance(error, ServerAway):
        return str(error)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"the mail server refused the login ({error.code})"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"the mail server answered {error.code}"
    if type(error) in (aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported):  # no STARTTLS, no AUTH
        return "the mail server does not offer the STARTTLS or login that HEADCOUNT_SMTP_URL requires"
    if isinstance(error, TimeoutError):
        return "the mail server did not answer in time"
    return f"the mail server cannot be reached ({type(error.__cause__ or error).__name__})"
