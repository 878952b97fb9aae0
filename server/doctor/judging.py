"""Decide what is wrong with a data folder, from its facts and the time, and what to do. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
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

COMMAND = re.compile(r"(?:(?<=: )|(?<=&& ))headcount (?=[a-z])")
"""The beginning of a command of Headcount in what to do."""


def judge(facts: Facts, now: datetime) -> list[Finding]:
    """Return what is wrong at `now`, the most important first; empty if all is well."""
    tenants = {*facts.tenants, *facts.unknown}
    entries = entry_findings(facts.faulty, facts.data_dir, facts.owner, facts.users, tenants)
    others = [*_of_server(facts), *_of_time(facts, now), *_of_disk(facts), *_of_tenants(facts), *_of_removed(facts)]
    return in_order([*entries, *(_in_this_folder(each, facts.data_dir) for each in others)], facts.data_dir)


def _in_this_folder(finding: Finding, data_dir: str) -> Finding:
    """Let each command of Headcount name the data folder: in another one it would change another tenant."""
    return replace(finding, do=COMMAND.sub(lambda _: f"headcount --data-dir {shlex.quote(data_dir)} ", finding.do))


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
    for path, why in facts.host_keys.refused.items():
        yield Finding(None, path, Severity.ERROR, *_of_host_key(path, why, facts.owner))
    if lost := facts.host_keys.lost:
        yield Finding(
            *(None, lost, Severity.WARNING),
            f"host keys are missing ({lost}), so the next start makes new ones, and clients refuse these",
            "Restore them from a backup. Without one, start the server, and give the new fingerprints to all "
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
            f"the clock is or was wrong: it shows {rfc3339(now)}, but the newest import is of {facts.newest}",
            "If the clock is right, the next file of each tenant ends this. Else set it: timedatectl set-ntp true",
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
    if facts.tenants and all(tenant.missing for tenant in facts.tenants.values()):
        yield Finding(
            *(None, places, Severity.ERROR, f"{places} has the folder of no tenant"),
            "If the folders are on another disk, mount it. Else restore them from a backup",
        )
        return
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
    """Yield the finding for a headcount.db that would give the id of an applied import twice: it is an older one.

    A tenant that is added gets the highest id of its folder.
    """
    if tenant.uploads is None or tenant.newest_import <= tenant.uploads.last:
        return
    folder, removed = shlex.quote(tenant.folder), f"{shlex.quote(data_dir)}/removed"
    newest = f'"$(ls -d {removed}/{name}-????????T*Z | tail -n 1)"'
    yield Finding(
        *(name, tenant.folder, Severity.ERROR),
        f"{tenant.folder} has import {tenant.newest_import}, which headcount.db lacks: headcount.db is older, "
        "and would lose the next file",
        "If you have a newer backup, restore both from it. Else add the tenant again. It keeps its users and files, "
        "but not its tokens, history and waiting imports. Send the files of these again: a copy is in "
        f"{removed}/{name}-uploads. Add the tenant: cp -a {folder}/uploads {removed}/{name}-uploads && "
        f"headcount tenant remove {name} --yes && mv {newest} {folder} && headcount tenant add {name}",
    )


def _orphans(name: str, folder: str, numbered: Numbered | None, of: str) -> Iterator[Finding]:
    """Yield the finding for files of imports or runs that headcount.db does not have.

    Those in uploads/ may be the only copy of what a client sent, if headcount.db was restored alone.
    """
    if numbered is None:
        return
    lost = [number for number in sorted(numbered.files) if number not in numbered.ids]
    paths = [f"{folder}/{path}" for number in lost for path in numbered.files[number]]
    if paths:
        some, place = paths[:NAMED_MOST], paths[0].rpartition("/")[0]
        copies = not place.endswith("/messages")
        kept = "Copy those that you need: the next start of the server removes them too. " if copies else ""
        yield Finding(
            *(name, paths[0], Severity.WARNING),
            f"{counted(len(paths), 'file', 'files')} in {place} "
            f"{'belongs' if len(paths) == 1 else 'belong'} to no {of} that headcount.db has",
            f"{kept}Remove {'it' if len(paths) == 1 else 'them'}: rm -r {_quoted(*some)}",
        )


def _of_removed(facts: Facts) -> Iterator[Finding]:
    for folder, why in facts.removed.items():
        yield Finding(
            *(None, f"{folder}/users.db", Severity.WARNING, parted(why)[0]),
            "If the tenant may be needed again, restore the file from a backup. "
            f"Else remove its folder: rm -r {shlex.quote(folder)}",
        )


def _quoted(*paths: str) -> str:
    return shlex.join(paths)
