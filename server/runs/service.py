"""The hooks of a server other than `sync_users`, as one part of it: found, offered uploads, run, recovered.

`find` is called once, before the server is built; it imports the modules of hooks. `Hooks` connects them with the
store, the ends of runs and the loop that runs them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.runs import Run, RunStore
from headcount.hooks import Declared
from importer.archive import LOCAL, Archive
from importer.folder import FolderOf
from importer.worker.lost import Lost
from importer.worker.results_folder import LOCAL_RESULTS, Results
from server.files.hooks import Hooked
from server.rounds import Leads
from server.runs.ending import Ending, RunHerald, Watcher
from server.runs.finding import find_hooks
from server.runs.outside.hooks_toml import Runners, read_hooks_file
from server.runs.python.calling import Calling, Workshop
from server.runs.python.pool import Pool
from server.runs.recovery import recover_runs, remove_run_leftovers
from server.runs.registry import Registry
from server.runs.run_hook import table_entries
from server.runs.runner import Runner, WhyNot
from server.runs.turns import WaitOf
from server.settings import ServerSettings, environment_of_hooks
from server.signing import WebhookSecrets
from server.tenants.settings import TenantSettings


@dataclass(frozen=True, slots=True)
class Found:
    """The hooks that were found, and the processes in which plain functions run. Nothing is started.

    `wait` says when an attempt follows a failed one; None: as on any server.
    """

    registry: Registry
    workshop: Workshop
    wait: WaitOf | None = None


Find = Callable[[ServerSettings, RunStore, WebhookSecrets], Awaitable[Found]]
"""Return the hooks of a server."""


async def find(settings: ServerSettings, store: RunStore, secrets: WebhookSecrets) -> Found:
    """Import the modules of all hooks, read `hooks_file`, and remember their paths. Blocks the event loop."""
    env = environment_of_hooks()
    workshop = Workshop(Pool(env))
    files = read_hooks_file(settings.hooks_file, Runners(secrets, settings.webhook_allow_private))

    def runnable(declared: Declared, module: str) -> Calling:
        return Calling(declared, module, workshop)

    found = await find_hooks(settings.hooks, store, runnable, files=files, remember=True, env=env)
    return Found(found, workshop)


class Hooks:
    """The hooks that were found. Call `start()` once, when all tenants are recovered, then `stop()` once."""

    def __init__(
        self,
        found: Found,
        store: RunStore,
        folder_of: FolderOf,
        settings_of: Callable[[str], Awaitable[TenantSettings]],
        *,
        watcher: Watcher,
        herald: RunHerald,
        why_not: WhyNot,
        archive: Archive = LOCAL,
        results: Results = LOCAL_RESULTS,
        leads: Leads = lambda: True,
    ) -> None:
        """`watcher`, `herald`, `why_not` and `leads` are those of `Ending` and `Runner`."""
        self.registry = found.registry
        self.store = store
        self._workshop = found.workshop
        self._folder_of = folder_of
        self._settings_of = settings_of
        self._archive = archive
        self._ending = Ending(
            store, folder_of, watcher, herald=herald, wait=found.wait, archive=archive, results=results
        )
        runnable = {hook.name: hook.runnable for hook in found.registry.hooks if hook.runnable}
        reads = runnable.get, self._values, self._days
        self._runner = Runner(store, self._ending, folder_of, *reads, why_not, archive=archive, leads=leads)
        self._left: dict[str, list[Run]] = {}
        self._lost = Lost()

    def entries(self) -> Iterator[Hooked]:
        """Yield the hooks with a path, for the table of hooks."""
        return table_entries(self.registry, self.store, self._ending, self._folder_of, self._runner.landed)

    @property
    def alive(self) -> bool:
        """Whether runs are looked for."""
        return self._runner.alive

    @property
    def broken(self) -> int:
        """How many hooks cannot run; `headcount hook list` says why."""
        return sum(hook.error is not None for hook in self.registry.hooks)

    async def unfinished(self) -> set[str]:
        """Return the tenants of which a server that has gone left runs that arrived or ran; `recover` ends these.

        So it does with those that this server has lost.
        """
        left: dict[str, list[Run]] = {}
        lost = self._lost.among(await self.store.at_work_here(), self._runner.running)
        for run in (*await self.store.cut_off(), *lost):
            left.setdefault(run.tenant, []).append(run)
        self._left |= left
        return {*left}

    async def recover(self, tenant: str, *, starting: bool = True) -> None:
        """Recover the runs that were left of a tenant. Raises TryAgain.

        `starting`: also delete the files that no run needs. None of the tenant runs in this process yet.
        """
        archive = self._archive
        await recover_runs(self.store, self._ending, self._folder_of, self._left.get(tenant, ()), archive)
        if starting:
            await remove_run_leftovers(self.store, tenant, self._folder_of(tenant), archive)
        self._left.pop(tenant, None)

    def start(self) -> None:
        self._runner.start()

    async def stop(self, grace_s: float) -> None:
        """Start no more runs; let running ones end within `grace_s`, then end their hooks: they stay queued."""
        await self._runner.stop(grace_s)

    def hurry(self) -> None:
        """Stop waiting: end the running hooks now."""
        self._runner.hurry()

    async def close(self) -> None:
        """End the processes, when no client can upload any more."""
        await self._workshop.close()

    async def _values(self, tenant: str, hook: str) -> dict[str, Any]:
        settings = await self._settings_of(tenant)
        return dict(settings.hook_settings.get(hook, {}))

    async def _days(self, tenant: str) -> int:
        return (await self._settings_of(tenant)).retention_days
