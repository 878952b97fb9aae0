"""Mails with sign-in links: asked for by an address, sent later, and never through a table or a log.

The answer to a request is the same for every address, so the work begins after it. A link is secret, so it is only in
the mail: a mail that cannot be sent within `TRIES` attempts is dropped, and its links with it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from engine.tokens import Token
from ground.moments import utc_now
from ground.waits import Growing
from importer.errors import TryAgain
from server.hourly import Hourly
from server.notify.layout import Body, Link, Section
from server.notify.mail import Mailer, MailRefused, MailServer, ServerAway, sender_of
from server.notify.rendering import letter_from
from server.settings import ServerSettings
from server.tenants.sign_ins import LINK_S, SignIns
from server.tenants.tokens import Tokens

log = logging.getLogger(__name__)

PATH = "/sign-in/link"
AN_HOUR = 5
"""The most mails to one address in an hour."""
LINKS_MOST = 20
"""The most links in one mail."""
WAITING_MOST = 100
"""The most mails that wait to be sent. Further requests are dropped."""
WAITS, TRIES = Growing(2.0, 30.0), 4


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A link to sign in with a token, without the address of the server; `further` are more parameters."""

    token: Token
    secret: str
    further: str = ""


Further = Callable[[Token], str]
"""Returns the further parameters of the link of a token, such as `&next=%2Ftenants`; may be ""."""


def nothing(token: Token) -> str:
    """Add no parameter to the link."""
    return ""


class SignInMails:
    """Sends sign-in links of `tokens` through `mailer`; the pages are at `public_url`."""

    def __init__(self, tokens: Tokens, sign_ins: SignIns, mailer: Mailer, public_url: str) -> None:
        self._tokens = tokens
        self._sign_ins = sign_ins
        self._mailer = mailer
        self._url = public_url
        self._limit = Hourly(AN_HOUR)
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, email: str, further: Further = nothing) -> None:
        """Begin to send the links for this address, if a valid token has it. Return at once."""
        if len(self._tasks) >= WAITING_MOST:
            _log_failure("too many mails wait")
            return
        task = asyncio.create_task(self._send(email, further), name="sign-in mail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, grace_s: float) -> None:
        """Give the mails that wait `grace_s` to be sent, and drop the others."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._mailer.close()

    async def _send(self, email: str, further: Further) -> None:
        async with self._one_at_a_time:
            try:
                tokens = await self._tokens.valid_with(email, utc_now())
                address = tokens[0].email if tokens else None
                if address and self._limit.allows(address, asyncio.get_running_loop().time()):
                    await self._send_to(address, await self._links(tokens[:LINKS_MOST], further))
            except (TryAgain, ServerAway, MailRefused) as error:
                _log_failure(str(error))
            if len(self._tasks) == 1:
                await self._mailer.leave()

    async def _links(self, tokens: Sequence[Token], further: Further) -> list[SignInLink]:
        made = [(token, await self._sign_ins.make_link(token, utc_now())) for token in tokens]
        return [SignInLink(token, secret, further(token)) for token, secret in made if secret]

    async def _send_to(self, address: str, links: Sequence[SignInLink]) -> None:
        """Send one mail, with a few attempts. Raises MailRefused, ServerAway."""
        letter, message_id = letter_from(mail_of(links, self._url)), uuid.uuid4().hex
        for attempt in range(1, TRIES + 1):
            try:
                await self._mailer.send([address], letter, message_id)
            except ServerAway:
                if attempt == TRIES:
                    raise
                await asyncio.sleep(WAITS.after(attempt))
            else:
                return


def mail_of(links: Sequence[SignInLink], public_url: str) -> Body:
    """Return the mail with these links. Pure."""
    return Body(
        subject="[Headcount] your sign-in link",
        first="A sign-in link was requested for this address.",
        sections=(
            Section(
                f"Open the link within {LINK_S // 60} minutes, and press the button “Sign in”. It works once.",
                tuple(_entry(link, public_url) for link in links),
            ),
            Section("If you did not request it, delete this mail. No other person got the link."),
        ),
    )


def _entry(link: SignInLink, public_url: str) -> Link:
    place = f"Company {link.token.tenant}" if link.token.tenant else "All companies"
    return Link(place, f"{public_url}{PATH}?code={quote(link.secret)}{link.further}", text=f"as {link.token.bearer}")


def sign_in_mails(settings: ServerSettings, tokens: Tokens, sign_ins: SignIns) -> SignInMails | None:
    """Return the sender of sign-in links; None if SMTP_URL or HTTP_PUBLIC_URL is not set."""
    if settings.smtp_url is None or settings.http_public_url is None:
        return None
    server = MailServer.from_url(settings.smtp_url.get_secret_value())
    return SignInMails(
        tokens, sign_ins, Mailer(server, sender_of(server, settings.smtp_from)), settings.http_public_url
    )


def _log_failure(reason: str) -> None:
    log.warning("A sign-in mail was not sent (%s).", reason, extra={"event": "sign_in_mail_failed"})
