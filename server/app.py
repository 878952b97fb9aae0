"""The server: its parts, the order in which they start, and how they stop.

Start: lock the data folder, open the databases, recover what the previous process left, then HTTP, SFTP, the worker.
Stop: SFTP and the worker within one grace time, then HTTP, then the databases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from engine.runs import Run
from engine.tokens import Role
from ground.addresses import plain
from ground.moments import utc_now
from importer.worker.advising import Advising
from importer.worker.attempt import Starter
from importer.worker.closing import Closing, Watchers
from importer.worker.turns import Turns
from importer.worker.worker import Worker
from keys.host import HostKey, ShownHostKey, shown_host_keys
from server import process
from server.data_disk import Disk
from server.faults import Faults
from server.hooks.admission import Admission
from server.hooks.dry_runs import DryRuns
from server.hooks.sendable_files import SendableFiles
from server.hooks.sending import Sending
from server.hooks.table import hook_table
from server.logs import announce
from server.notify.outbox import Outbox
from server.notify.service import Notifications
from server.notify.sign_in_mails import sign_in_mails
from server.places import place_of
from server.places.place import Accounts
from server.runs.finding import known_hooks
from server.runs.service import Find, Found, Hooks, find
from server.settings import ServerSettings
from server.sftp.auth import Login
from server.sftp.bans.keeper import BanKeeper
from server.sftp.listener import SftpListener
from server.signals import signals
from server.tenants.access.bans import BanBook
from server.tenants.access.key_uses import KeyUses
from server.tenants.access.sign_ins import SignIns
from server.tenants.access.tokens import Tokens
from server.tenants.pauses import pause_of
from server.tenants.settings_toml import in_toml
from server.tenants.soundness import LATELY, Soundness
from server.tenants.tenants import Tenants
from server.upkeep.counting import Counting
from server.upkeep.gauges import Counts, Gauges, Parts, at_once
from server.upkeep.indexing import Indexer
from server.upkeep.keeping import Keeper
from server.upkeep.metrics import Metrics
from server.upkeep.orphans import Orphans, Recovery
from server.upkeep.overview import Overview
from server.web.app import build_app
from server.web.health import Health
from server.web.listener import WebListener, default_caps
from server.web.live import Live
from server.web.office import Office
from server.web.pages import rendering

log = logging.getLogger(__name__)


async def serve(settings: ServerSettings) -> None:
    """Run the server until SIGTERM or SIGINT; a second signal stops it without the grace time.

    Raises process.InUse, process.CannotListen, HostKeyRefused, and the errors of opening the databases.
    """
    place = place_of(settings)
    place.refuse_unready()
    Faults().watch(asyncio.get_running_loop())
    with signals() as (stop, hurry):
        async with place.held(stop) as disk, AsyncExitStack() as stack:
            server = await disk.insist(lambda: stack.enter_async_context(open_server(settings, disk)), stop)
            if server is None:
                return
            try:
                sftp, http = await server.start()
                announce(settings.log_format, sftp, http)
                await stop.wait()
                log.info("The server is stopping.", extra={"event": "stopping"})
            finally:
                await server.stop(settings.stop_grace_s, hurry)
    log.info("The server has stopped.", extra={"event": "stopped"})


class Server:
    """The parts of the server, connected. Call `start()` once, then `stop()` once.

    The caller opens the databases before, and closes them after.
    """

    def __init__(
        self,
        settings: ServerSettings,
        tenants: Tenants,
        accounts: Accounts,
        soundness: Soundness,
        disk: Disk,
        found: Found,
        own_keys: Sequence[HostKey],
    ) -> None:
        store = tenants.store
        self.tenants, self._accounts = tenants, accounts
        self._settings = settings
        self._soundness, self._figures = soundness, soundness.figures
        self._disk = disk
        self._preparing: asyncio.Task[None] | None = None
        self._queue = store.imports()
        self._listing = store.looking().imports()
        self._metrics = Metrics()
        self._tokens = Tokens(store.tokens())
        self._sign_ins = SignIns(store.sign_ins())
        self._sign_in_mails = sign_in_mails(settings, self._tokens, self._sign_ins)
        self._outbox = Outbox(store.outbox())
        self._notifications = Notifications(
            *(settings, tenants, self._outbox, self._metrics, soundness, self._figures)
        )
        self._counting = Counting(
            *(self._metrics, tenants, self._listing, lambda: soundness.broken, self._figures, store.node)
        )
        self._indexer = Indexer(tenants, soundness, self._figures)
        self._keeper = Keeper(tenants, self._queue, utc_now, self._notifications, soundness, self._figures)
        self._key_uses = KeyUses(store.key_uses(), tenants.ring)
        self._make_imports()
        self._make_hooks(found, accounts)
        self._make_sftp(accounts, own_keys)
        self._recovery = Recovery(tenants, self._closing, self._hooks, self.files, lambda: self._worker.running)
        self._orphans = Orphans(store.node, self._recovery)
        self._make_http(own_keys)

    def _make_imports(self) -> None:
        tenants, soundness = self.tenants, self._soundness
        self._sendable = SendableFiles(tenants.folder, archive=tenants.archive)
        self._closing = Closing(
            self._queue,
            tenants.folder,
            Watchers(self._counting, self._notifications, self._indexer, self._keeper),
            herald=self._notifications.herald,
            copies=self._sendable,
            archive=tenants.archive,
            results=tenants.results,
        )
        self._starter = Starter(
            tenants.folder,
            tenants.users,
            soundness.settings,
            utc_now,
            self._queue.checksums,
            soundness=soundness,
            why_not_stored=self._why_not_stored,
            advising=Advising(tenants.folder, tenants.users, in_toml, tenants.archive),
            pause_of=pause_of,
            archive=tenants.archive,
        )
        self._worker = Worker(self._queue, self._closing, self._starter, tenants.store.node.leads)

    def _make_hooks(self, found: Found, accounts: Accounts) -> None:
        tenants, soundness, store = self.tenants, self._soundness, self.tenants.store
        self._hooks = Hooks(
            *(found, store.runs(), tenants.folder, soundness.settings),
            watcher=self._run_ended,
            herald=self._notifications.herald,
            why_not=lambda tenant: soundness.why(tenant) or self._why_not_stored(tenant),
            archive=tenants.archive,
            results=tenants.results,
            leads=store.node.leads,
        )
        turns = Turns(self._queue, self._closing, self._starter)
        self._table = hook_table(
            *(self._queue, self._closing, tenants.folder, Admission(self._queue, turns, soundness.settings)),
            *(self._hooks.entries(), accounts.hooks_on),
            archive=tenants.archive,
        )

    def _make_sftp(self, accounts: Accounts, own_keys: Sequence[HostKey]) -> None:
        settings, tenants, store = self._settings, self.tenants, self.tenants.store
        self.files = place_of(settings).files(
            *(tenants.home, accounts, self._table, self._metrics, settings.max_read_bytes, self._why_not_stored)
        )
        self._sftp = SftpListener(
            *(settings, accounts, self.files, self._metrics, [each.key for each in own_keys], self._logged_in),
            shared=store.sessions(),
        )
        self._bans = BanBook(store.bans(), settings.penalty_max_s)
        self._ban_keeper = BanKeeper(self._sftp.gate, self._bans, shares=store.node.shares)

    def _make_http(self, own_keys: Sequence[HostKey]) -> None:
        settings, store, soundness = self._settings, self.tenants.store, self._soundness
        self._live = Live(store.hints(), lambda: self._worker.progress, shares=store.node.shares)
        self._overview = Overview(
            *(self.tenants, self._listing, self._counting, self._sftp.open_sessions), why_broken=soundness.why
        )
        checks = {
            "sftp": at_once(lambda: self._sftp.listening),
            "worker": at_once(lambda: self._worker.alive),
            "hooks": at_once(lambda: self._hooks.alive),
            "database": self._database_answers,
            "disk": self._disk.check,
            **self.tenants.home.parts,
        }
        self._counts = Counts(self._notifications.measure, self._counting.count, is_away=store.is_away)
        self._gauges = Gauges(
            *(self._metrics, Parts(checks), self._disk, place_of(settings).newest_backup),
            hooks_broken=lambda: self._hooks.broken,
            banned=lambda: len(self._sftp.gate.bans()),
        )
        counts = (lambda: len(soundness.broken)), (lambda: self._hooks.broken)
        health = Health(checks, self._render_metrics, self._may_read_metrics, *counts)
        app = build_app(self._office(shown_host_keys(own_keys), health), health)
        caps = default_caps(settings.max_http_connections, settings.max_event_streams_per_token)
        self._http = WebListener(app, settings.http_host, settings.http_port, settings.http_trusted_proxies, caps)

    def _office(self, host_keys: Sequence[ShownHostKey], health: Health) -> Office:
        return Office(
            settings=self._settings,
            tenants=self.tenants,
            tokens=self._tokens,
            sign_ins=self._sign_ins,
            queue=self._queue,
            reader=self._listing,
            runs=self._hooks.store,
            run_reader=self.tenants.store.looking().runs(),
            registry=lambda: self._hooks.registry,
            trials=DryRuns(
                *(self.tenants, self._queue, self._closing, self._sftp.files, self._why_not_stored),
                sendable=self._sendable,
            ),
            sending=Sending(self.tenants, self._queue, self._sftp.files, self._sendable),
            live=self._live,
            key_uses=self._key_uses,
            outbox=self._outbox,
            herald=self._notifications.herald,
            overview=self._overview,
            files=self.files,
            bans=self._bans,
            soundness=self._soundness,
            host_keys=host_keys,
            sftp_port=lambda: self._sftp.port,
            parts_up=health.parts,
            sign_in_mails=self._sign_in_mails,
        )

    async def start(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Recover what the previous process left, then listen.

        Returns the addresses of SFTP and HTTP. Raises process.CannotListen.
        """
        # Migrates every usable users.db before one is opened read-only.
        left = await self._recovery.left()
        await self._soundness.start(self._recovery.recover, left | {*await self._queue.lately_moved(LATELY)})
        await self._counting.restore()
        await self._ban_keeper.restore()
        settings = self._settings
        http = await process.listening(self._http.start(), settings.http_host, settings.http_port)
        sftp = await process.listening(self._sftp.start(), settings.sftp_host, settings.sftp_port)
        self._preparing = asyncio.create_task(asyncio.to_thread(rendering.prepare), name="preparing pages")
        self._disk.start()
        self._worker.start()
        self._hooks.start()
        self._orphans.start()
        self._keeper.start()
        self._indexer.start()
        self._notifications.start()
        self._key_uses.start()
        self._ban_keeper.start()
        return sftp, http

    async def stop(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Accept nothing new. Let requests and the import end within `grace_s`, or until `hurry` is set."""
        hurrying = asyncio.create_task(self._hurry_when(hurry))
        try:
            await asyncio.gather(
                self._sftp.close(grace_s),
                self._worker.stop(grace_s),
                self._hooks.stop(grace_s),
                self._orphans.stop(),
                self._keeper.stop(),
                self._indexer.stop(),
                self._notifications.stop(grace_s),
                *([self._sign_in_mails.stop(grace_s)] if self._sign_in_mails else []),
            )
            await self._soundness.stop()
            await self._disk.stop()
            await self._key_uses.stop()
            await self._ban_keeper.stop()
            await self._live.close()
            await self._overview.close()
            await self._figures.stop()
            await self._http.close()
            self._sftp.release()
            await self._hooks.close()
            await self._sendable.close()
        finally:
            hurrying.cancel()

    async def _hurry_when(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        log.warning("The server stops at once: it got a second signal.", extra={"event": "stopping_at_once"})
        self._worker.hurry()
        self._hooks.hurry()
        await asyncio.gather(self._sftp.close(0), self._notifications.stop(0))

    def _run_ended(self, run: Run) -> None:
        self._metrics.run_ended(run)
        self._keeper.run_ended(run)

    def _logged_in(self, login: Login) -> None:
        self._key_uses.used(login.tenant, login.fingerprint, str(plain(login.address)))

    async def _render_metrics(self) -> bytes:
        await self._gauges.measure()
        await self._counts.renew()
        return self._metrics.render()

    def _why_not_stored(self, tenant: str) -> str | None:
        return self._disk.why() or self._soundness.why_not_stored(tenant)

    async def _database_answers(self) -> bool:
        await self.tenants.store.ask_to_write()
        await self._accounts.check()
        return True

    async def _may_read_metrics(self, token: str | None) -> bool:
        if self._settings.metrics_auth == "none":
            return True
        found = await self._tokens.find(token, utc_now()) if token else None
        return found is not None and found.role is Role.OPERATOR


@asynccontextmanager
async def open_server(settings: ServerSettings, disk: Disk, find: Find = find) -> AsyncIterator[Server]:
    """Open the databases and yield the server on them; close them at the end. `find` returns its hooks."""
    place = place_of(settings)
    async with place.opened(serving=True) as home:
        tenants = Tenants(home, settings.http_public_url)
        soundness = Soundness(tenants, tenants.store.looking().imports())
        accounts = place.accounts(tenants, soundness)
        try:
            found = await find(settings, tenants.store.runs(), tenants.home.secrets)
            tenants.hooks = lambda: known_hooks(found.registry.hooks)
            yield Server(settings, tenants, accounts, soundness, disk, found, await home.host_keys())
        finally:
            accounts.close()
