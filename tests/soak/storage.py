"""The files of another hook, and a storage that is filled up to its quota and freed."""

from __future__ import annotations

import random
from collections.abc import Callable

import asyncssh

from tests.soak.model import Tenant
from tests.soak.world import World


async def sends_invoices(world: World, tenant: Tenant, dice: random.Random, found: Callable[[str], None]) -> None:
    """Send a file to the other hook, and fill and free the storage."""
    run_id = len(tenant.runs) + 1
    content = dice.choice((b"good\n", b"good\n", b"odd\n", b"bad\n"))
    state = {b"good\n": "completed", b"odd\n": "completed_with_errors", b"bad\n": "failed"}[content]
    files = tenant.files
    async with world.client(tenant.company.name) as sftp:
        if await _stores(tenant, sftp, f"invoices/{run_id}.csv", content, found):
            tenant.runs[run_id] = state
            tenant.hear(f"run {run_id} {state}", mail=state != "completed")
        await _stores(tenant, sftp, f"archive-{run_id}", dice.randbytes(dice.randrange(30_000, 90_000)), found)
        while sum(files.values()) > tenant.company.quota_bytes * 3 // 4:
            oldest = next(path for path in files if path.startswith("archive"))
            await sftp.remove(f"/{oldest}")
            del files[oldest]
        if old := next((path for path in files if path == f"invoices/{run_id - 5}.csv"), None):
            await sftp.remove(f"/{old}")
            del files[old]


async def _stores(
    tenant: Tenant, sftp: asyncssh.SFTPClient, path: str, content: bytes, found: Callable[[str], None]
) -> bool:
    """Upload a file, and return whether it was stored; it must be refused if it does not fit into the quota."""
    waiting = sum(each.size for each in tenant.records.values() if each.state in ("held", "queued"))
    free = tenant.company.quota_bytes - sum(tenant.files.values())
    try:
        async with sftp.open(f"/{path}", "wb") as file:
            await file.write(content)
        stored = True
    except asyncssh.SFTPError:
        stored = False
    if stored and len(content) > free:
        found(f"{tenant.company.name}: {path} was stored above the quota")
    if not stored and len(content) + waiting <= free:
        found(f"{tenant.company.name}: {path} of {len(content)} bytes was refused, and {free} are free")
    if stored:
        tenant.files[path] = len(content)
    return stored
