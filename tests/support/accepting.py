"""A listening SFTP side with hooks that accept every file, so that short files land in one call of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from engine.runs import Run
from engine.sqlite.server.runs import SqliteRunStore
from engine.sqlite.store import store_file
from importer.model import ImportState
from server.files.hooks import Hooked, HookTable
from server.files.local.measuring import measure_usage
from server.runs.ending import Ending
from server.runs.ends import End
from server.runs.recovery import recover_runs, remove_run_leftovers
from server.runs.registry import Attempt, RegisteredHook, Registry
from server.runs.run_hook import table_entries
from server.tenants.tenants import Tenants
from server.upkeep.orphans import Recovery
from tests.support.backups import rows
from tests.support.installation import Installation
from tests.support.sftp import SftpHouse, sftp_house

OLD, NEW = b"net\n1\n", b"net\n22\n"
AT = "invoices/march.csv"


class Accepting:
    """A hook that accepts every file."""

    asks = False

    async def deliver(self, attempt: Attempt) -> End:
        raise AssertionError("no run starts here")

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> None:
        raise AssertionError("it is not asked")


class _Runs:
    """The runs of a server that starts no run."""

    def __init__(self, tenants: Tenants) -> None:
        self.store = tenants.store.runs()
        self._tenants = tenants

    async def unfinished(self) -> set[str]:
        return set()

    async def recover(self, tenant: str, *, starting: bool) -> None:
        tenants, archive = self._tenants, self._tenants.archive
        ending = Ending(self.store, tenants.folder, lambda _: None, archive=archive, results=tenants.results)
        await recover_runs(self.store, ending, tenants.folder, archive=archive)
        await remove_run_leftovers(self.store, tenant, tenants.folder(tenant), archive)


class AcceptingHouse:
    """A listening SFTP side with hooks at `paths`, and what is stored. The caller sets `house`."""

    house: SftpHouse
    store: SqliteRunStore

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    def hooked(self, tenants: Tenants) -> Iterable[Hooked]:
        store = tenants.store.runs()
        assert isinstance(store, SqliteRunStore)
        self.store = store
        ending = Ending(self.store, tenants.folder, lambda _: None, archive=tenants.archive, results=tenants.results)
        hooks = [
            RegisteredHook(f"hook_{at}", path, "hooks", runnable=Accepting()) for at, path in enumerate(self._paths)
        ]
        return table_entries(Registry(hooks), self.store, ending, tenants.folder, lambda _: None)

    async def put(self, sftp: asyncssh.SFTPClient, content: bytes, path: str = AT) -> None:
        async with sftp.open(path, "wb") as file:
            await file.write(content)

    async def runs(self) -> list[Run]:
        return (await self.store.page("acme"))[::-1]

    async def states(self) -> list[ImportState]:
        return [run.state for run in await self.runs()]

    async def kept(self) -> None:
        """Wait until the server has tried to bring all files that landed to the disk."""
        await self.store.keeping.keep()

    def landed_files(self, data: Path | None = None) -> list[tuple[int, bytes]]:
        """Return the runs whose bytes another process sees in the database now, with these; here or in `data`."""
        found = rows(store_file(data or self.house.folder.root.parent.parent))["landed_files"]
        return [(run_id, content) for _tenant, run_id, _path, content, _changed in found]

    @asynccontextmanager
    async def starting(self, stored: Installation | None = None) -> AsyncIterator[Recovery]:
        """Yield what recovers tenants at the start of a server, here or in `stored`; it has seen what is left."""
        async with (stored or self.house.stored).open(serving=True) as tenants:
            self.house.hooks = HookTable({}, others=self.hooked(tenants))
            files, hooks = self.house.files_for(tenants), _Runs(tenants)
            recovery = Recovery(tenants, None, hooks, files)  # type: ignore[arg-type]
            try:
                await recovery.left()
                yield recovery
            finally:
                files.close()

    async def after_a_start(
        self, stored: Installation | None = None, before: Callable[[], object] = lambda: None
    ) -> list[ImportState]:
        """Recover the tenant as the start of a server does, here or in `stored`; return the states of its runs.

        `before` is called when the start knows of which tenants something is left.
        """
        async with self.starting(stored) as recovery:
            before()
            await recovery.recover("acme")
            return await self.states()

    def seen(self) -> list[tuple[int, str]]:
        """Return the ids and states of the runs as another process sees them now."""
        return [(run["id"], run["state"]) for run in self.house.stored.runs("acme")]

    async def counts_truly(self) -> bool:
        """Return whether the running total of the visible files equals a new measurement."""
        (space,) = self.house.listener._sessions._opened.values()
        usage, measured = await space.usage(), measure_usage(space.folder.fd, space._fixed)
        return (usage.size, usage.files) == (measured.size, measured.files)

    def copy(self, number: int) -> bytes | None:
        return self.house.stored.run_copy("acme", number)


@asynccontextmanager
async def accepting_house(folder: Path, *paths: str) -> AsyncIterator[AcceptingHouse]:
    """Yield such a side with hooks at `paths`; it listens in the block."""
    scene = AcceptingHouse(*paths)
    async with sftp_house(folder, hooked=scene.hooked) as scene.house:
        yield scene
