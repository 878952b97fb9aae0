"""Decide what is wrong with a data folder, from its facts and the time, and what to do. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta

from ground.moments import from_rfc3339, rfc3339
from ground.words import counted
from server.doctor.entries import entry_findings
from server.doctor.facts import DiskFacts, Facts, Numbered, TenantFacts
from server.doctor.findings import Finding, Severity, in_order, parted

LOW_PERCENT = 10
"""With a smaller share of the disk free, it counts as low; the page of the server warns too."""

STEP = timedelta(minutes=1)
"""A clock that is this far behind the data was set back."""

NAMED_MOST = 100
"""The most files that one command names."""


def judge(facts: Facts, now: datetime) -> list[Finding]:
    """Return what is wrong at `now`, the most important first; empty if all is well."""
    entries = entry_findings(facts.faulty, facts.data_dir, facts.owner, facts.users)
    return in_order([*entries, *_of_server(facts), *_of_time(facts, now), *_of_disk(facts), *_of_tenants(facts)])


def _of_server(facts: Facts) -> Iterator[Finding]:
    data, database = facts.data_dir, f"{facts.data_dir}/headcount.db"
    if facts.refused:
        what, _, do = facts.refused.partition(". ")
        yield Finding(None, data, Severity.ERROR, what, do)
    if facts.server_broken:
        what, do = parted(facts.server_broken)
        yield Finding(None, database, Severity.ERROR, what, f"Stop the server. {do}" if "restore" in do else do)
    if facts.server_outdated is not None:
        yield _outdated(None, database, facts.server_outdated)
    for path, why in (facts.host_keys or {}).items():
        yield Finding(None, path, Severity.ERROR, *_of_host_key(path, why, facts.owner))
    if facts.host_keys is None:
        yield Finding(
            *(None, f"{data}/host_keys", Severity.WARNING),
            f"{data}/host_keys has no host keys, so the next start makes new ones, and clients refuse these",
            "Restore the folder from a backup. Without one, start the server, and give the new fingerprints to all "
            "tenants: headcount serve",
        )


def _of_host_key(path: str, why: str, owner: str) -> tuple[str, str]:
    what, _, do = why.partition(": ")
    if do.startswith("chmod"):
        return what, f"End the access of others: {do}"
    if what.endswith("cannot be read"):
        return why, f"As root, make {owner} its owner: chown {shlex.quote(owner)} {shlex.quote(path)}"
    return what, do[:1].upper() + do[1:]


def _of_time(facts: Facts, now: datetime) -> Iterator[Finding]:
    if facts.newest and from_rfc3339(facts.newest) - now > STEP:
        yield Finding(
            *(None, f"{facts.data_dir}/headcount.db", Severity.WARNING),
            f"the clock is or was wrong: it shows {rfc3339(now)}, but headcount.db has the time {facts.newest}",
            f"If the clock is right, wait until {facts.newest}. Else set it: timedatectl set-ntp true",
        )


def _of_disk(facts: Facts) -> Iterator[Finding]:
    disk, data = facts.disk, facts.data_dir
    if disk is None:
        return
    if disk.read_only:
        mount = f'mount -o remount,rw "$(findmnt -n -o TARGET -T {shlex.quote(data)})"'
        yield Finding(
            None, data, Severity.ERROR, str(disk.why), f"Check the disk (dmesg), then mount it again: {mount}"
        )
    elif disk.why:
        yield Finding(None, data, Severity.ERROR, disk.why, f"Free some space on the disk of {data}")
    elif _percent(disk) < LOW_PERCENT:
        what = f"less than {LOW_PERCENT}% of the disk is free ({disk.free:,} of {disk.total:,} bytes)"
        yield Finding(None, data, Severity.WARNING, what, f"Free some space on the disk of {data}")


def _percent(disk: DiskFacts) -> float:
    return 100 * disk.free / disk.total if disk.total else 100


def _of_tenants(facts: Facts) -> Iterator[Finding]:
    places = f"{facts.data_dir}/tenants"
    for name in facts.strange:
        path = f"{places}/{name}"
        yield Finding(
            *(None, path, Severity.WARNING, f"{path} is not the folder of a tenant"),
            f"Move it away: mv {shlex.quote(path)} {shlex.quote(facts.data_dir)}/removed/",
        )
    for name in facts.unknown:
        path = f"{places}/{name}"
        yield Finding(
            *(name, path, Severity.WARNING, f"headcount.db has no tenant for the folder {path}"),
            "If it is not needed, move it out of the data folder. Else add the tenant, with its users and files: "
            f"headcount tenant add {name}",
        )
    for name, tenant in facts.tenants.items():
        yield from _of_tenant(name, tenant, facts.data_dir)


def _of_tenant(name: str, tenant: TenantFacts, data_dir: str) -> Iterator[Finding]:
    if tenant.broken:
        place, why = tenant.broken
        yield Finding(name, place, Severity.ERROR, *parted(why))
    for place, why in tenant.unusable_files:
        yield Finding(name, place, Severity.ERROR, *parted(why))
    yield from _ahead(name, tenant, data_dir)
    for files, of in ((tenant.uploads, "import"), (tenant.messages, "import"), (tenant.runs, "run")):
        yield from _orphans(name, tenant.folder, files, of)
    if tenant.outdated is not None:
        yield _outdated(name, f"{tenant.folder}/users.db", tenant.outdated)
    if tenant.index:
        path = f"{tenant.folder}/search.db"
        yield Finding(
            *(name, path, Severity.WARNING, f"the search index {tenant.index}"),
            f"Remove it; a running server builds it again: rm -f {_quoted(path, f'{path}-wal', f'{path}-shm')}",
        )


def _outdated(tenant: str | None, path: str, schema: int) -> Finding:
    return Finding(
        *(tenant, path, Severity.NOTICE, f"{path} is of an older Headcount (schema {schema})"),
        "Start the server, which keeps a copy and upgrades it: headcount serve",
    )


def _ahead(name: str, tenant: TenantFacts, data_dir: str) -> Iterator[Finding]:
    """Yield the finding for a headcount.db that would give an id twice: it is older than the tenant's folder."""
    imports, runs = _unknown(tenant.uploads, tenant.messages), _unknown(tenant.runs)
    if tenant.uploads:
        imports |= {tenant.newest_import} if tenant.newest_import > tenant.uploads.last else set()
    if not imports and not runs:
        return
    newest = f"import {max(imports)}" if imports else f"run {max(runs)}"
    removed, folder = f"{shlex.quote(data_dir)}/removed/{name}-????????T*Z", shlex.quote(tenant.folder)
    yield Finding(
        *(name, tenant.folder, Severity.ERROR),
        f"{tenant.folder} has {newest}, which headcount.db does not know: headcount.db is older, and would lose the "
        "next file",
        "If you have a newer backup, restore both from it. Else add the tenant again, with its users and files but "
        f"without its tokens: headcount tenant remove {name} --yes && mv {removed} {folder} && "
        f"headcount tenant add {name}",
    )


def _unknown(*numbered: Numbered | None) -> set[int]:
    """Return the ids of files that are higher than any that headcount.db has given."""
    return {number for each in numbered if each for number in each.files if number > each.last}


def _orphans(name: str, folder: str, numbered: Numbered | None, of: str) -> Iterator[Finding]:
    if numbered is None:
        return
    lost = [number for number in sorted(numbered.files) if number <= numbered.last and number not in numbered.ids]
    paths = [f"{folder}/{path}" for number in lost for path in numbered.files[number]]
    if paths:
        some = paths[:NAMED_MOST]
        yield Finding(
            *(name, paths[0], Severity.WARNING),
            f"{counted(len(paths), 'file', 'files')} in {paths[0].rpartition('/')[0]} "
            f"{'belongs' if len(paths) == 1 else 'belong'} to no {of} that headcount.db has",
            f"Remove {'it' if len(paths) == 1 else 'them'}: rm -r {_quoted(*some)}",
        )


def _quoted(*paths: str) -> str:
    return shlex.join(paths)
