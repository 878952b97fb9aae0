"""The complete web side on real databases and a real port, with clients for each role.

async with open_site(tmp_path, "acme", "other") as site:
    answer = await site.api("owner").get("/api/v1/tenants/acme/imports")
    page = await (await site.browser("viewer")).get("/tenants/acme/imports")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from engine.tokens import Role
from ground.moments import utc_now
from importer.model import ImportState
from importer.worker.advising import Advising
from importer.worker.attempt import Starter
from importer.worker.closing import Closing
from importer.worker.turns import Turns
from importer.worker.worker import Worker
from keys.host import ShownHostKey
from server.files.base import never_refused
from server.files.hooks import HookTable
from server.hooks.admission import Admission
from server.hooks.dry_runs import DryRuns
from server.hooks.import_hook import ImportHook
from server.hooks.sendable_files import SendableFiles
from server.hooks.sending import Sending
from server.notify.herald import TenantHerald
from server.notify.outbox import Outbox
from server.notify.sign_in_mails import sign_in_mails
from server.places import place_of
from server.runs.registry import RegisteredHook, Registry
from server.sftp.listener import SftpListener
from server.tenants.access.bans import BanBook
from server.tenants.access.key_uses import KeyUses
from server.tenants.access.sign_ins import SignIns
from server.tenants.access.tokens import Tokens
from server.tenants.hook_settings import KnownHooks
from server.tenants.pauses import pause_of
from server.tenants.settings_toml import in_toml
from server.tenants.soundness import Soundness
from server.upkeep.counting import Counting
from server.upkeep.metrics import Metrics
from server.upkeep.overview import Overview
from server.web.app import build_app
from server.web.health import Check, Health
from server.web.listener import WebListener
from server.web.live import Live
from server.web.office import Office
from tests.support.installation import Installation, accounts_of, installation
from tests.support.queues import Watching
from tests.support.runs import end_in, put_in_line
from tests.support.waiting import DEADLINE_S, eventually

FILE = "sync_users.csv"
FROM_OURS = {"sec-fetch-site": "same-origin"}
"""The header that a browser adds to a form from a page of the same site."""


HOST_KEYS = (ShownHostKey("ssh-ed25519", f"SHA256:{'h' * 43}", "ssh-ed25519 AAAAhost"),)


class Site:
    """`office` is what the routes work with. `tokens` has a token by role; owner and viewer are of the first tenant.

    `checks` are the health checks; all succeed.
    """

    def __init__(
        self,
        app: FastAPI,
        stored: Installation,
        office: Office,
        closing: Closing,
        checks: dict[str, Check],
        tokens: dict[str, str],
        url: str,
        clients: AsyncExitStack,
    ) -> None:
        self.app = app
        self.stored = stored
        self.office = office
        self.closing = closing
        self.checks = checks
        self._starter = Starter(
            *(office.tenants.folder, office.tenants.users, office.tenants.settings, utc_now, office.queue.checksums),
            pause_of=pause_of,
            archive=office.tenants.archive,
        )
        self.tokens = tokens
        self.url = url
        self._clients = clients

    async def upload(self, content: bytes, tenant: str = "acme", *, dry_run: bool = False, name: str = FILE) -> int:
        """Queue a file as an SFTP upload does; do not run it. Return the id of its import."""
        queue = self.office.queue
        number = await queue.arriving(
            tenant,
            f"/test/{name}" if dry_run else f"/{name}",
            size=len(content),
            written=None,
            uploaded_at=utc_now(),
            dry_run=dry_run,
        )
        self.stored.keep_copy(tenant, number, content)
        await queue.landed(tenant, number)
        return number

    async def filed(
        self,
        state: ImportState = ImportState.COMPLETED,
        tenant: str = "acme",
        hook: str = "invoices",
        *,
        copy: bytes | None = b"No,Sum\n",
    ) -> int:
        """Store a file of a hook that ended in `state`, with the `copy` of it; return the id of its run."""
        number = await put_in_line(self.office.runs, tenant, hook)
        if state is not ImportState.QUEUED:
            await end_in(self.office.runs, number, state, tenant)
        if copy is not None:
            self.stored.keep_run_copy(tenant, number, copy)
        return number

    async def run(self) -> None:
        """Run all queued imports to their end."""
        async with self.working() as advising:
            await eventually(self._nothing_waits)
            if advising._tasks:  # on a busy machine, advice ends after the import
                await asyncio.wait([*advising._tasks.values()], timeout=30)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Advising]:
        """Let a worker run queued imports meanwhile."""
        tenants = self.office.tenants
        advising = Advising(tenants.folder, tenants.users, in_toml, tenants.archive)
        starter = replace(self._starter, advising=advising)
        worker = Worker(self.office.queue, self.closing, starter)
        worker.start()
        try:
            yield advising
        finally:
            await worker.stop(5)

    async def imported(self, content: bytes, tenant: str = "acme", *, dry_run: bool = False, name: str = FILE) -> int:
        """Queue a file, run its import to the end and return its id."""
        number = await self.upload(content, tenant, dry_run=dry_run, name=name)
        await self.run()
        return number

    async def _nothing_waits(self) -> bool:
        # Each tenant in one read: an import that ends between two reads would hide the next one.
        names = [tenant.name for tenant in await self.office.tenants.list()]
        return not any([await self.office.queue.under_way(name) for name in names])

    def anybody(self, **headers: str) -> httpx.AsyncClient:
        """Return a client without token or session."""
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=DEADLINE_S)
        self._clients.push_async_callback(client.aclose)
        return client

    def api(self, role: str) -> httpx.AsyncClient:
        """Return a client of the API with the token of `role`."""
        return self.anybody(authorization=f"Bearer {self.tokens[role]}")

    async def browser(self, role: str) -> httpx.AsyncClient:
        """Return a client that has signed in with the token of `role`."""
        client = self.anybody(**FROM_OURS)
        answer = await client.post("/sign-in", data={"token": self.tokens[role]})
        assert answer.status_code == 303, answer.text
        return client


@asynccontextmanager
async def open_site(
    data: Path,
    *tenants: str,
    known: KnownHooks | None = None,
    found: Sequence[RegisteredHook] = (),
    **chosen: Any,
) -> AsyncIterator[Site]:
    """Open a site with these tenants and a token of each role; `elsewhere` is the owner of the second tenant.

    `chosen` are settings of the server, `found` its hooks, and `known` those that tenants may set.
    """
    async with AsyncExitStack() as stack:
        stored = installation(data)
        opened = await stack.enter_async_context(stored.open(serving=True))
        opened.hooks = lambda: known or {}
        for name in tenants:
            await opened.add(name)
        settings = stored.settings(**chosen)
        place = place_of(settings)
        accounts: Any = accounts_of(place, opened)
        stack.callback(accounts.close)
        store, looking = opened.store, opened.store.looking()
        queue, listing = store.imports(), looking.imports()
        sendable = SendableFiles(opened.folder, archive=opened.archive)
        closing = Closing(
            *(queue, opened.folder, Watching()), copies=sendable, archive=opened.archive, results=opened.results
        )
        starter = Starter(
            *(opened.folder, opened.users, opened.settings, utc_now, queue.checksums), archive=opened.archive
        )
        admission = Admission(queue, Turns(queue, closing, starter), opened.settings)
        hook = ImportHook(queue, closing, opened.folder, admission, dry_run=False)
        metrics = Metrics()
        table = HookTable({"/sync_users.csv": hook})
        files = place.files(opened.home, accounts, table, metrics, settings.max_read_bytes, never_refused)
        sftp = SftpListener(settings, accounts, files, metrics, [])  # not its port
        stack.callback(sftp.release)
        stack.push_async_callback(sftp.close, 0)
        counting = Counting(Metrics(), opened, queue)
        soundness = Soundness(opened, listing)
        overview = Overview(opened, listing, counting, sftp.open_sessions, why_broken=soundness.why)
        stack.push_async_callback(overview.close)
        live = Live(store.hints(), dict)
        checks: dict[str, Check] = dict.fromkeys(("sftp", "worker", "database"), _up)
        health = Health(checks, _no_metrics, _allow_all)
        tokens, sign_ins = Tokens(store.tokens()), SignIns(store.sign_ins())
        mails = sign_in_mails(settings, tokens, sign_ins, delay=lambda: 0.0)
        if mails:
            stack.push_async_callback(mails.stop, 0)
        office = Office(
            settings=settings,
            tenants=opened,
            tokens=tokens,
            sign_ins=sign_ins,
            queue=queue,
            reader=listing,
            runs=store.runs(),
            run_reader=looking.runs(),
            trials=DryRuns(opened, queue, closing, sftp.files, sendable=sendable),
            sending=Sending(opened, queue, sftp.files, sendable),
            live=live,
            key_uses=KeyUses(store.key_uses(), opened.ring),
            outbox=Outbox(store.outbox()),
            herald=TenantHerald(opened.folder, opened.settings, settings.http_public_url),
            overview=overview,
            files=files,
            bans=BanBook(store.bans(), settings.penalty_max_s),
            soundness=soundness,
            host_keys=HOST_KEYS,
            sftp_port=lambda: sftp.port,
            parts_up=health.parts,
            sign_in_mails=mails,
            registry=lambda: Registry(found),
        )
        texts = {"operator": (await office.tokens.create(None, Role.OPERATOR))[1]}
        for role, tenant in zip(("owner", "elsewhere"), tenants, strict=False):
            texts[role] = (await office.tokens.create(tenant, Role.OWNER))[1]
        if tenants:
            texts["viewer"] = (await office.tokens.create(tenants[0], Role.VIEWER))[1]
        app = build_app(office, health)
        listener = WebListener(app, "127.0.0.1", 0, settings.http_trusted_proxies)
        host, port = await listener.start()
        stack.push_async_callback(listener.close)
        stack.push_async_callback(live.close)
        clients = await stack.enter_async_context(AsyncExitStack())
        yield Site(app, stored, office, closing, checks, texts, f"http://{host}:{port}", clients)


async def _up() -> bool:
    return True


async def _no_metrics() -> bytes:
    return b""


async def _allow_all(token: str | None) -> bool:
    return True
