"""Mails with sign-in links: asked for by an address, sent later, and never through a table or a log.

The answer to a request is the same for every address, so the work begins after it, and after a random delay. A link
is secret, so it is only in the mail: a mail that cannot be sent within `TRIES` tries is dropped, and its links too.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import SystemRandom
from urllib.parse import quote

from engine.tokens import Role, Token
from ground.moments import utc_now
from ground.waits import Growing
from importer.errors import TryAgain
from server.hourly import Hourly
from server.notify.layout import Body, Link, Section
from server.notify.mail import Mailer, MailRefused, MailServer, ServerAway, sender_of
from server.notify.rendering import letter_from
from server.rounds import set_within
from server.settings import ServerSettings
from server.tenants.access.sign_ins import LINK_S, SignIns
from server.tenants.access.tokens import Tokens

log = logging.getLogger(__name__)

PATH = "/sign-in/link"
AN_HOUR = 5
"""The most mails to one address in an hour."""
OF_SOURCE = 2
"""The most mails to one address in an hour that one source requests."""
LINKS_MOST = 20
"""The most links in one mail."""
ADDRESS_MAX = 254
"""The most characters of an address. A longer text is not looked up."""
REQUESTS_MOST = 10_000
"""The most requests that wait for their look-up. Further requests are dropped."""
WAITING_MOST = 100
"""The most mails that wait to be sent. Further ones are dropped."""
DELAY_S = 2.0, 10.0
"""The least and the most seconds before a request is worked on: its work cannot be seen by timing other requests."""
TRIES = 4
AWAY, REFUSED = Growing(2.0, 30.0), Growing(60.0, 120.0)
"""The waits between tries: without a mail server, and after a temporary refusal. A link outlives them."""


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
    """Sends sign-in links of `tokens` through `mailer`; the pages are at `public_url`.

    `delay` returns the seconds before the work on a request begins.
    """

    def __init__(
        self,
        tokens: Tokens,
        sign_ins: SignIns,
        mailer: Mailer,
        public_url: str,
        delay: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._sign_ins = sign_ins
        self._mailer = mailer
        self._url = public_url
        self._delay = delay
        self._of_address, self._of_source = Hourly(AN_HOUR), Hourly(OF_SOURCE)
        self._one_at_a_time = asyncio.Lock()
        self._ending = asyncio.Event()
        self._waiting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, email: str, source: str, further: Further = nothing) -> None:
        """Begin to send the links for this address, if a valid token has it. Return at once.

        `source` is where the request came from, and `further` makes the further parameters of each link. A mail to
        the same address that waits already is the answer, too.
        """
        if len(email) > ADDRESS_MAX:
            return
        if len(self._tasks) >= REQUESTS_MOST:
            _log_failure("too many requests wait")
            return
        task = asyncio.create_task(self._serve(email, source, further), name="sign-in mail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, grace_s: float) -> None:
        """Give the mails that wait `grace_s` to be sent, and drop the others."""
        self._ending.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._mailer.close()

    async def _serve(self, email: str, source: str, further: Further) -> None:
        await set_within(self._ending, self._delay())
        try:
            tokens = await self._tokens.valid_with(email, utc_now())
            address = tokens[0].email if tokens else None
            if address and self._may_send(address, source):
                await self._send(address, source, tokens, further)
        except (TryAgain, ServerAway, MailRefused) as error:
            _log_failure(str(error))

    def _may_send(self, address: str, source: str) -> bool:
        """Return whether a mail may be sent now, and none to this address waits. Only sent mails count."""
        if address in self._waiting:
            return False
        if len(self._waiting) >= WAITING_MOST:
            _log_failure("too many mails wait")
            return False
        now = asyncio.get_running_loop().time()
        return self._of_address.has_room(address, now) and self._of_source.has_room(f"{source} {address}", now)

    async def _send(self, address: str, source: str, tokens: Sequence[Token], further: Further) -> None:
        """Send one mail, and count it. Raises TryAgain, MailRefused, ServerAway; then it does not count."""
        self._waiting.add(address)
        try:
            if links := await self._links(chosen(tokens), further):
                await self._send_to(address, links)
                now = asyncio.get_running_loop().time()
                self._of_address.count(address, now)
                self._of_source.count(f"{source} {address}", now)
        finally:
            self._waiting.discard(address)
            if not self._waiting:
                await self._mailer.leave()

    async def _links(self, tokens: Sequence[Token], further: Further) -> list[SignInLink]:
        made = [(token, await self._sign_ins.make_link(token, utc_now())) for token in tokens]
        return [SignInLink(token, secret, further(token)) for token, secret in made if secret]

    async def _send_to(self, address: str, links: Sequence[SignInLink]) -> None:
        """Send one mail, with a few tries. Other mails go between them. Raises MailRefused, ServerAway."""
        letter, message_id = letter_from(mail_of(links, self._url)), uuid.uuid4().hex
        for attempt in range(1, TRIES + 1):
            try:
                async with self._one_at_a_time:
                    await self._mailer.send([address], letter, message_id)
            except (ServerAway, MailRefused) as error:
                if attempt == TRIES or (isinstance(error, MailRefused) and error.for_good):
                    raise
                waits = REFUSED if isinstance(error, MailRefused) else AWAY
                await set_within(self._ending, waits.after(attempt))
            else:
                return


def chosen(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens that get a link, at most `LINKS_MOST` of these `tokens`, which are oldest first. Pure.

    A tenant gets at most one link for each role, to its newest token. Operators come first. Then each tenant gets its
    first link before any gets its second: so a tenant cannot crowd out another one.
    """
    newest = {(token.tenant, token.role): token for token in tokens}
    by_tenant: dict[str | None, list[Token]] = {}
    for token in sorted(newest.values(), key=lambda token: (token.role is not Role.OWNER, token.id)):
        by_tenant.setdefault(token.tenant, []).append(token)
    operators = by_tenant.pop(None, [])
    turns = zip_longest(*(by_tenant[tenant] for tenant in sorted(by_tenant, key=str)))
    return [*operators, *(token for turn in turns for token in turn if token)][:LINKS_MOST]


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
    """Return a link without the token's comment: an owner of any tenant can write it for any address."""
    place = f"Company {link.token.tenant}" if link.token.tenant else "All companies"
    where = f"{public_url}{PATH}?code={quote(link.secret)}{link.further}"
    return Link(place, where, text=f"as {link.token.number}")


def random_delay() -> float:
    """Return the seconds before the work on a request begins."""
    return SystemRandom().uniform(*DELAY_S)


def sign_in_mails(
    settings: ServerSettings, tokens: Tokens, sign_ins: SignIns, *, delay: Callable[[], float] = random_delay
) -> SignInMails | None:
    """Return the sender of sign-in links; None if SMTP_URL or HTTP_PUBLIC_URL is not set."""
    if settings.smtp_url is None or settings.http_public_url is None:
        return None
    server = MailServer.from_url(settings.smtp_url.get_secret_value())
    mailer = Mailer(server, sender_of(server, settings.smtp_from))
    return SignInMails(tokens, sign_ins, mailer, settings.http_public_url, delay)


def _log_failure(reason: str) -> None:
    log.warning("A sign-in mail was not sent (%s).", reason, extra={"event": "sign_in_mail_failed"})
