"""A failed run is run again, by the page, the API or the command line."""

from __future__ import annotations

from engine.runs import Run, RunStore, why_not_rerun
from importer.archive import LOCAL, Archive
from importer.errors import Refused
from importer.folder import TenantFolder
from server.runs.registry import Registry
from server.tenants.settings import TenantSettings


async def run_again(
    runs: RunStore,
    folder: TenantFolder,
    run: Run,
    settings: TenantSettings,
    registry: Registry,
    archive: Archive = LOCAL,
) -> Run:
    """Queue a failed run as the last of its hook, with no attempts; return it as it is then.

    `settings` are those of its tenant now. Raises Refused: `not_failed`; `no_hook` if `registry` does not have its
    hook, or the hook cannot run; `hook_off` if the hook is off for the tenant; `no_file` if its file is gone;
    `unknown_run`. Raises TryAgain.
    """
    async with archive.locked(folder, folder.runs):  # retention deletes no file in between
        if why_not := why_not_rerun(run):
            raise why_not
        if run.hook not in {hook.name for hook in registry.hooks if hook.error is None}:
            raise Refused("no_hook", f"the server does not have the hook {run.hook} of run {run.id} now")
        if not settings.has_on(run.hook):
            off = f"the hook {run.hook} is off for {run.tenant}: turn it on in the settings first"
            raise Refused("hook_off", off)
        if await archive.find(folder, folder.run_copy(run.id)) is None:
            raise Refused("no_file", f"the file of run {run.id} of {run.tenant} is no longer kept: send it again")
        return await runs.rerun(run.tenant, run.id)
