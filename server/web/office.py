"""The objects that routes work with: the Office, built once in server/app.py, and the Visit, an admitted request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.runs import Run, RunStore
from engine.tenants import Tenant
from engine.tokens import Role, Token
from ground.moments import utc_now
from importer.archive import Archive
from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from importer.queue.pause import Pause
from importer.queue.queue import Queue
from importer.rules.identity import identity_of
from importer.users.directory import Directory
from importer.users.history import History
from importer.users.users import Users
from importer.worker import decisions
from keys.host import ShownHostKey
from keys.ring import KeyRing
from server.files.files import AllFiles
from server.hooks.dry_runs import DryRuns
from server.hooks.sending import Sending
from server.hourly import HOUR_S, Hourly
from server.notify.herald import TenantHerald, destination
from server.notify.outbox import Outbox
from server.notify.sign_in_mails import SignInMails
from server.runs.again import run_again
from server.runs.registry import Registry
from server.settings import ServerSettings
from server.tenants.access.bans import BanBook
from server.tenants.access.key_uses import KeyUses
from server.tenants.access.sign_ins import SignIns
from server.tenants.access.tokens import NOTHING, Tokens
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantSettings
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.upkeep.overview import Overview
from server.web.forms_once import FormsOnce
from server.web.http_problem import HttpProblem
from server.web.live import Live
from server.web.slowing import Slowing

log = logging.getLogger(__name__)

LINK_REQUESTS = 5
"""The most requests for a sign-in link from one source in an hour."""

TEST_NOTIFICATIONS = 10
"""The most tests of the notifications of one tenant over the API in an hour: they go to any address."""


@dataclass(frozen=True, slots=True)
class Office:
    """The tenants, imports and keys for the web side.

    `queue` is the server's queue: a decision made there wakes the worker. `reader` reads lists and reports on its own
    connection, so that an open page does not delay an upload. `runs` and `run_reader` are the same for the runs of
    hooks, and `registry` returns these hooks. `files` are those of all tenants. `sftp_port` returns the port of SFTP,
    and `host_keys` are its host keys. `herald` writes notifications, and `outbox` stores them. `parts_up` returns
    which parts of the server are up, by name. `sign_in_mails` is None if no sign-in link can be sent; `link_requests`
    limits the requests for links of each source. `forms` knows the forms that were sent and must not be sent twice.
    """

    settings: ServerSettings
    tenants: Tenants
    tokens: Tokens
    sign_ins: SignIns
    queue: Queue
    reader: Listing
    runs: RunStore
    run_reader: RunStore
    trials: DryRuns
    sending: Sending
    live: Live
    key_uses: KeyUses
    outbox: Outbox
    herald: TenantHerald
    overview: Overview
    files: AllFiles
    bans: BanBook
    soundness: Soundness
    host_keys: Sequence[ShownHostKey]
    sftp_port: Callable[[], int]
    parts_up: Callable[[], Awaitable[dict[str, bool]]]
    registry: Callable[[], Registry] = Registry
    slowing: Slowing = field(default_factory=Slowing)
    sign_in_mails: SignInMails | None = None
    forms: FormsOnce = field(default_factory=FormsOnce)
    link_requests: Hourly = field(default_factory=lambda: Hourly(LINK_REQUESTS))
    notification_tests: Hourly = field(default_factory=lambda: Hourly(TEST_NOTIFICATIONS))


@dataclass(frozen=True, slots=True)
class Visit:
    """One admitted request. `tenant` is the name of the tenant it is about; "" if it is about none."""

    office: Office
    token: Token
    tenant: str

    @property
    def may_change(self) -> bool:
        """Return whether the token is an owner's or the operator's."""
        return self.token.role is not Role.VIEWER

    @property
    def is_operator(self) -> bool:
        return self.token.role is Role.OPERATOR

    @property
    def has_files(self) -> bool:
        """Return whether the server has other hooks than `sync_users`: then the pages link to their files."""
        return bool(self.office.registry().hooks)

    @property
    def folder(self) -> TenantFolder:
        """Return the folder of the tenant."""
        return self.office.tenants.folder(self.tenant)

    @property
    def archive(self) -> Archive:
        """Return where the files of imports and runs are kept."""
        return self.office.tenants.archive

    async def file(self, path: Path) -> Path:
        """Return the path of a file of an import or run. If it is kept, it is there. Raises OSError, TryAgain."""
        await self.archive.fetch(self.folder, path)
        return path

    async def approve(self, held: Entry, held_at: str | None = None) -> Entry:
        """Approve a held import as `decisions.approve` does. Raises Refused, TryAgain."""
        by, archive = self.token.bearer, self.archive
        return await decisions.approve(self.office.queue, self.folder, held, by=by, held_at=held_at, archive=archive)

    @property
    def users(self) -> Users:
        """Return the users of the tenant."""
        return self.office.tenants.users(self.tenant)

    @property
    def ring(self) -> KeyRing:
        """Return the keys of the tenant."""
        return self.office.tenants.ring(self.tenant)

    async def settings(self) -> TenantSettings:
        """Read the settings of the tenant as they are now. Raises TenantRefused, TryAgain."""
        return await self.office.tenants.settings(self.tenant)

    async def pause(self) -> Pause | None:
        """Read the pause of the tenant's feed; None if it is not paused now. Raises TenantRefused, TryAgain."""
        return pause_of(await self.settings(), utc_now())

    async def entry(self, import_id: int) -> Entry:
        """Read an import of the tenant. Raises Refused if there is none of this id."""
        return await self.office.reader.require(self.tenant, import_id)

    async def run(self, run_id: int) -> Run:
        """Read a run of a hook of the tenant. Raises Refused if there is none of this id."""
        return await self.office.run_reader.require(self.tenant, run_id)

    async def rerun(self, run_id: int) -> Run:
        """Run a failed run again as `run_again` does, and log who did it. Raises Refused, TryAgain."""
        again = self.office.runs, self.folder, await self.run(run_id), await self.settings(), self.office.registry()
        run = await run_again(*again, self.archive)
        by = self.token.bearer
        log.info(
            "Run %d of %s (hook %s) was queued again by %s.",
            *(run.id, run.tenant, run.hook, by),
            extra={"event": "run_queued_again", "tenant": run.tenant, "hook": run.hook, "run_id": run.id, "by": by},
        )
        return run

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        """Open the users of the tenant, with the identifier of its current settings."""
        async with self.users.directory(identity_of(await self.settings())) as directory:
            yield directory

    @asynccontextmanager
    async def history(self) -> AsyncIterator[History]:
        """Open the history of the tenant's users, with the identifier of its current settings."""
        async with self.users.history(identity_of(await self.settings())) as history:
            yield history

    async def protect(self, identifier: str, *, protected: bool) -> bool:
        """Protect a user of the tenant from deactivation by imports, or end the protection; log who did it.

        Returns False if no user has this identifier. Raises TryAgain while an import writes.
        """
        identity = identity_of(await self.settings())
        if not await self.users.set_protected(identifier, protected, identity):
            return False
        log.info(
            "A user of %s is %s now, by %s.",
            *(self.tenant, "protected" if protected else "no longer protected", self.token.bearer),
            extra={"event": "user_protected" if protected else "user_unprotected", "tenant": self.tenant},
        )
        return True

    async def create_token(
        self, tenant: str | None, role: Role, expires: str | None, comment: str, email: str | None
    ) -> tuple[Token, str]:
        """Create a token as `Tokens.create` does, and log who did it. Raises TenantRefused, TryAgain."""
        made, text = await self.office.tokens.create(tenant, role, expires, comment, email)
        whose = made.tenant or "operators"
        log.info(
            "Token %d (%s) of %s was created by %s.",
            made.id,
            made.role.value,
            whose,
            self.token.bearer,
            extra={"event": "token_created", **self._of_token(made)},
        )
        return made, text

    async def change_token(
        self,
        tenant: str | None,
        number: int,
        *,
        comment: str | None,
        role: Role | None,
        email: str | None,
        session: str | None = None,
        shown: Mapping[str, object] = NOTHING,
    ) -> Token:
        """Change a token as `Tokens.edit` does, and log who did it. Raises TenantRefused, TryAgain."""
        changed = await self.office.tokens.edit(
            self.token, tenant, number, comment=comment, role=role, email=email, session=session, shown=shown
        )
        whose = changed.tenant or "operators"
        log.info(
            "Token %d (%s) of %s was changed by %s.",
            changed.id,
            changed.role.value,
            whose,
            self.token.bearer,
            extra={"event": "token_changed", **self._of_token(changed)},
        )
        return changed

    async def revoke_token(self, tenant: str | None, number: int) -> None:
        """Revoke a token as `Tokens.revoke_for` does, and log who did it. Raises TenantRefused, TryAgain."""
        revoked = await self.office.tokens.revoke_for(self.token, tenant, number)
        whose = revoked.tenant or "operators"
        log.info(
            "Token %d (%s) of %s was revoked by %s.",
            revoked.id,
            revoked.role.value,
            whose,
            self.token.bearer,
            extra={"event": "token_revoked", **self._of_token(revoked)},
        )

    def _of_token(self, token: Token) -> dict[str, object]:
        """Return what a line of the log says about a token."""
        return {"tenant": token.tenant, "token": token.id, "role": token.role.value, "by": self.token.bearer}

    async def add_tenant(self, name: str) -> Tenant:
        """Add a tenant, and log who did it. Raises TenantRefused, TryAgain."""
        added = await self.office.tenants.add(name)
        by = self.token.bearer
        log.info("Tenant %s was added by %s.", name, by, extra={"event": "tenant_added", "tenant": name, "by": by})
        return added

    async def remove_tenant(self, name: str) -> Path | None:
        """Remove a tenant, and log who did it; return where its folder is now. Raises TenantRefused, TryAgain."""
        folder = await self.office.tenants.remove(name)
        by = self.token.bearer
        log.info(
            "Tenant %s was removed by %s.", name, by, extra={"event": "tenant_removed", "tenant": name, "by": by}
        )
        return folder

    async def send_test(self) -> list[str]:
        """Queue a test notification to all addresses of the tenant; return them.

        Raises HttpProblem if it has none, or was tested too often within an hour.
        """
        settings = await self.settings()
        notices = await self.office.herald.test_notices(self.tenant, utc_now())
        if not notices:
            raise HttpProblem(
                409,
                f"{self.tenant} has no notifications. Set notify_email or notify_webhook first.",
                code="no_notifications",
            )
        if not self.office.notification_tests.allows(self.tenant, asyncio.get_running_loop().time()):
            raise HttpProblem(
                429,
                f"The notifications of {self.tenant} were tested {TEST_NOTIFICATIONS} times within an hour. "
                "Try again in an hour.",
                code="too_many_tests",
                headers={"retry-after": f"{HOUR_S:.0f}"},
            )
        await self.office.outbox.put(notices)
        return [address for notice in notices for address in destination(settings, notice.channel)]

    async def revoke_key(self, fingerprint: str) -> None:
        """Revoke a key of the tenant, and delete when it was used. Raises KeyRefused if there is none."""
        key = await self.ring.revoke(fingerprint)
        with suppress(TryAgain):  # the next write of key uses deletes it
            await self.office.key_uses.forget(self.tenant, key.fingerprint)
