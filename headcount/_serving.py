"""The server of `headcount.testing`: in a thread of this process, with an event loop of its own. Not for hooks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from engine.runs import Run as StoredRun
from engine.runs import RunStore
from headcount.hooks import MARK, Declared, Message, Refuse, Retry
from headcount.testing import TIMEOUT_S, Run, Server, UploadFailed
from importer.model import ImportState
from server.app import open_server
from server.files.files import AllFiles
from server.places import place_of
from server.runs.python.calling import Calling, Workshop, is_async
from server.runs.python.pool import Pool
from server.runs.registry import RegisteredHook
from server.runs.report import run_json
from server.runs.reported import open_report, report_names
from server.runs.service import Found
from server.runs.sources import Source, registry
from server.settings import ServerSettings, environment_of_hooks
from server.signing import WebhookSecrets
from server.tenants.settings import TenantRefused
from server.tenants.tenants import Tenants

log = logging.getLogger("headcount.testing")

T = TypeVar("T")

ENDED = {
    ImportState.COMPLETED,
    ImportState.COMPLETED_WITH_ERRORS,
    ImportState.FAILED,
    ImportState.ABORTED,
    ImportState.IGNORED,
}
LOOK_S = 0.01


@contextlib.contextmanager
def serving(hooks: Sequence[Callable[..., Any]]) -> Iterator[Server]:
    """See `headcount.testing.running`."""
    declared = [declared_by(function) for function in hooks]
    with tempfile.TemporaryDirectory(prefix="headcount-") as folder, _Loop() as loop:
        server = loop.call(_Running.start(Path(folder), declared))
        try:
            yield _Client(loop, server)
        finally:
            loop.call(server.stop())


def declared_by(function: Callable[..., Any]) -> Declared:
    """Return what `@hook` was told about a function. Raises ValueError if it is not a hook."""
    found = getattr(function, MARK, None)
    if not isinstance(found, Declared):
        raise ValueError(f"{function!r} is not a hook: decorate it with @hook")
    return found


class _Loop:
    """An event loop in a thread of its own, between `with` and its end."""

    def __enter__(self) -> _Loop:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="headcount", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop; return or raise what it does."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class _Given:
    """Finds the hooks that a test gave, in place of those that are installed."""

    def __init__(self, hooks: Sequence[Declared]) -> None:
        self._hooks = hooks

    async def find(self, settings: ServerSettings, store: RunStore, secrets: WebhookSecrets) -> Found:
        """Return the hooks. Raises ValueError if one cannot run."""
        workshop = Workshop(Pool(environment_of_hooks()), threads=True)
        found = registry([Source("test", "test", [_registered(each, workshop) for each in self._hooks])])
        if wrong := next((each.error for each in found.hooks if each.error), None):
            raise ValueError(wrong)
        return Found(found, workshop, wait=lambda attempts, asked: 0.0)


def _registered(declared: Declared, workshop: Workshop) -> RegisteredHook:
    module = declared.function.__module__
    told = replace(
        declared,
        function=_telling(declared.function, declared.name),
        accept=declared.accept and _telling(declared.accept, declared.name),
    )
    return RegisteredHook(
        declared.name, declared.path, module, declared=declared, runnable=Calling(told, module, workshop)
    )


def _telling(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function that logs what `function` raises, with its text: the log of a server has none."""

    def tell(error: Exception) -> None:
        if not isinstance(error, Retry | Refuse):
            log.error("The hook %s raised an exception:", name, exc_info=error)

    @functools.wraps(function)
    def plain(argument: object) -> object:
        try:
            return function(argument)
        except Exception as error:
            tell(error)
            raise

    @functools.wraps(function)
    async def in_loop(argument: object) -> object:
        try:
            return await function(argument)
        except Exception as error:
            tell(error)
            raise

    return in_loop if is_async(function) else plain


class _Running:
    """The server, as its loop sees it."""

    def __init__(self, stack: contextlib.AsyncExitStack, tenants: Tenants, files: AllFiles, port: int) -> None:
        self._stack = stack
        self._tenants = tenants
        self._files = files
        self._runs = tenants.store.runs()
        self._port = port
        self._keys: dict[str, asyncssh.SSHKey] = {}
        self._uploading = asyncio.Lock()

    @classmethod
    async def start(cls, folder: Path, hooks: Sequence[Declared]) -> _Running:
        """Start a server with its data in `folder`. Raises ValueError for hooks that cannot run."""
        # Without reading the environment: a setting of the operator or of another test would change this server.
        settings = ServerSettings.model_construct(
            data_dir=folder, sftp_host="127.0.0.1", sftp_port=0, http_port=0, stop_grace_s=1.0
        )
        async with contextlib.AsyncExitStack() as stack:
            disk = await stack.enter_async_context(place_of(settings).held(asyncio.Event()))
            app = await stack.enter_async_context(open_server(settings, disk, _Given(hooks).find))
            stack.push_async_callback(app.stop, settings.stop_grace_s, asyncio.Event())
            (_, port), _ = await app.start()
            return cls(stack.pop_all(), app.tenants, app.files, port)
        raise AssertionError

    async def stop(self) -> None:
        await self._stack.aclose()

    async def put(self, tenant: str, path: str, content: bytes, timeout_s: float) -> Run:
        async with self._uploading:  # so that the newest run is that of this file
            before = await self._newest(tenant)
            refused = await self._upload(tenant, path, content)
            found = await self._newest(tenant)
        if found is None or (before is not None and found.id == before.id):
            raise UploadFailed(refused) if refused else LookupError(f"no hook has the path {path}")
        async with asyncio.timeout(timeout_s):
            while found.state not in ENDED:
                await asyncio.sleep(LOOK_S)
                found = await self._runs.require(tenant, found.id)
        return await self._shown(found)

    async def read(self, tenant: str, path: str) -> bytes:
        async with self._client(tenant) as client:
            try:
                async with client.open(path, "rb") as file:
                    content: Any = await file.read()
                    return bytes(content)
            except asyncssh.SFTPNoSuchFile as error:
                raise FileNotFoundError(path) from error

    async def configure(self, tenant: str, hook: str, values: dict[str, Any]) -> None:
        await self._key(tenant)
        now = await self._tenants.settings(tenant)
        settings = {**now.hook_settings, hook: values}
        try:
            await self._tenants.change_settings(tenant, {"hook_settings": settings})
        except TenantRefused as error:
            raise ValueError(error.message) from error

    async def _newest(self, tenant: str) -> StoredRun | None:
        return next(iter(await self._runs.page(tenant, limit=1)), None)

    async def _upload(self, tenant: str, path: str, content: bytes) -> str | None:
        """Upload a file; return why the server refused it."""
        async with self._client(tenant) as client:
            try:
                await client.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
                async with client.open(path, "wb") as file:
                    await file.write(content)
            except asyncssh.SFTPError as error:
                return error.reason
        return None

    @contextlib.asynccontextmanager
    async def _client(self, tenant: str) -> AsyncIterator[asyncssh.SFTPClient]:
        async with (
            asyncssh.connect(
                "127.0.0.1",
                self._port,
                username=tenant,
                client_keys=[await self._key(tenant)],
                known_hosts=None,
                config=None,
                agent_path=None,
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            yield client

    async def _key(self, tenant: str) -> asyncssh.SSHKey:
        """Return the key of a tenant, which is created if there is none."""
        if tenant not in self._keys:
            key = asyncssh.generate_private_key("ssh-ed25519")
            await self._tenants.add(tenant, [key.export_public_key().decode()])
            self._keys[tenant] = key
        return self._keys[tenant]

    async def _shown(self, run: StoredRun) -> Run:
        json = run_json(run)
        return Run(
            id=run.id,
            hook=run.hook,
            path=run.path,
            state=run.state.value,
            attempt=run.attempts,
            message=run.message,
            error=run.error,
            counts=json["counts"],
            messages=[_message(each) for each in json["messages"]],
            reports=await self._reports(run),
        )

    async def _reports(self, run: StoredRun) -> dict[str, bytes]:
        """Return the files that a run reported, by the names that the hook gave them."""
        folder, reports = self._tenants.folder(run.tenant), {}
        for name in await report_names(self._files, folder, run):
            with await open_report(self._files, folder, run, name) as file:
                reports[name] = file.read()
        return reports


class _Client:
    """The server, as a test sees it."""

    def __init__(self, loop: _Loop, running: _Running) -> None:
        self._loop = loop
        self._running = running

    def put(self, tenant: str, path: str, content: bytes, *, timeout_s: float = TIMEOUT_S) -> Run:
        return self._loop.call(self._running.put(tenant, path, content, timeout_s))

    def read(self, tenant: str, path: str) -> bytes:
        return self._loop.call(self._running.read(tenant, path))

    def configure(self, tenant: str, hook: str, **settings: Any) -> None:
        self._loop.call(self._running.configure(tenant, hook, settings))


def _message(found: Mapping[str, Any]) -> Message:
    return Message(found["severity"], found["message"], found["code"], found["line"], found["column"])
