"""Decide what is wrong with a database of PostgreSQL, from its facts, and what to do. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from engine.examined import FileFacts, Needed, ObjectFacts, OpenTransaction, ServerFacts, StoredFile
from ground.moments import CLOCKS_S
from ground.words import counted
from importer.errors import DatabaseAway, DatabaseDamaged, DatabaseFault, TryAgain
from server.doctor.findings import Finding, Severity

FEW = 10
"""With fewer free connections, a server may get too few: it opens up to 20."""

LOST = {
    "fsync": "a power cut may damage the database, and lose files that clients were told are stored",
    "full_page_writes": "a power cut may damage the database",
    "synchronous_commit": "a crash of PostgreSQL may lose files that clients were told are stored",
}
"""The settings of PostgreSQL that must be on, with the risk if they are off."""

CONNECTIONS = "SELECT usename, application_name, count(*) FROM pg_stat_activity GROUP BY 1, 2"
COUNT = (
    "SELECT FROM tenants WHERE id = {number} FOR NO KEY UPDATE; INSERT INTO usage (tenant_id, bytes, files) "
    "SELECT {number}, coalesce(sum(size), 0), count(*) FROM names WHERE tenant_id = {number} AND counts "
    "ON CONFLICT (tenant_id) DO UPDATE SET bytes = excluded.bytes, files = excluded.files"
)
"""SQL: count the files of a tenant, while nothing of it can change."""

PSQL = 'psql "$HEADCOUNT_DATABASE_URL" -c'


def judge_server(facts: ServerFacts, newest: Mapping[str, int], where: str) -> list[Finding]:
    """Return what is wrong with the database `where` as a whole. `newest` are the versions of this Headcount."""
    return [
        *_of_versions(facts, newest, where),
        *_of_settings(facts, where),
        *_of_connections(facts, where),
        *(_of_transaction(each, where) for each in facts.open),
        *_of_time(facts, where),
    ]


def judge_files(facts: FileFacts, where: str) -> list[Finding]:
    """Return what is wrong with the files of tenants in the database `where`."""
    return [
        *(_lost(each, "lacks some of its bytes", where) for each in facts.incomplete),
        *(
            _lost(each, "has other bytes than the uploaded file: its SHA-256 differs", where)
            for each in facts.changed
        ),
        *(_missing(each, where) for each in facts.needed),
        *_of_quotas(facts),
    ]


def judge_objects(facts: ObjectFacts, where: str) -> list[Finding]:
    """Return what is wrong with the objects of files. `where`: the database to which they belong."""
    if facts.why:
        do = "Check HEADCOUNT_FILES_URL, the access key, its rights, and the network"
        return [Finding(None, facts.where, Severity.ERROR, facts.why, do)]
    found = [_lost(each, f"is missing or cut short in {facts.where}", where) for each in facts.incomplete]
    if facts.overdue:
        what = f"{counted(facts.overdue, 'object', 'objects')} should have been deleted a day ago"
        do = "Allow the access key to delete objects: s3:DeleteObject"
        found.append(Finding(None, facts.where, Severity.WARNING, what, do))
    if facts.refused:
        what = f"it takes no new token, so a copy of the database is not noticed: {facts.refused}"
        do = "Let the access key and any proxy before the storage put objects with the header If-Match"
        found.append(Finding(None, facts.where, Severity.WARNING, what, do))
    return found


def restore_rows(rows: str, where: str) -> str:
    """Return what to do about rows that cannot be read. PostgreSQL may have had another reason than damage."""
    return f"See the log of PostgreSQL, and run this again. If it stays, restore {rows} from a backup of {where}"


def judge_unread(error: Exception, part: str, where: str, tenant: str | None = None) -> Finding:
    """Return the finding for a `part` of the database `where` whose rows gave this error. The part may be a tenant's.

    Raises the error again if it is not about these rows alone.
    """
    if isinstance(error, DatabaseAway) or not isinstance(error, TryAgain | DatabaseDamaged | DatabaseFault):
        raise error
    if isinstance(error, TryAgain):
        what, do = f"{part} cannot be read now ({error.in_full})", "Run this again: headcount doctor"
    else:
        what, do = f"{part} cannot be read: {error}", restore_rows("what is damaged", where)
    return Finding(tenant, where, Severity.ERROR, what, do)


def judge_secrets(reasons: Sequence[str], where: str) -> list[Finding]:
    """Return the findings for reasons such as `X cannot be opened: restore it`."""
    found = []
    for reason in reasons:
        what, _, do = reason.partition(": ")
        found.append(
            Finding(None, where, Severity.ERROR, what, do[:1].upper() + do[1:] or "Run this again: headcount doctor")
        )
    return found


def _of_versions(facts: ServerFacts, newest: Mapping[str, int], where: str) -> Iterator[Finding]:
    if facts.encoding != "UTF8":
        yield Finding(
            *(None, where, Severity.ERROR, f"the encoding of the database is {facts.encoding}, not UTF8"),
            "Create another one, and name it in HEADCOUNT_DATABASE_URL: CREATE DATABASE NAME ENCODING 'UTF8' "
            "TEMPLATE template0",
        )
    newer = [f"{kind} {version}" for kind, version in facts.versions.items() if version > newest.get(kind, 0)]
    older = [f"{kind} {facts.versions.get(kind, 0)}" for kind in newest if facts.versions.get(kind, 0) < newest[kind]]
    if newer:
        yield Finding(
            *(None, where, Severity.ERROR, f"a newer Headcount wrote the database (schema {', '.join(newer)})"),
            "Upgrade Headcount on this machine to the version of the other servers",
        )
    elif older and facts.versions:
        yield Finding(
            *(None, where, Severity.NOTICE, f"the database is of an older Headcount (schema {', '.join(older)})"),
            "Back it up with pg_dump, and start the server, which upgrades it: headcount serve",
        )


def _of_settings(facts: ServerFacts, where: str) -> Iterator[Finding]:
    for name, risk in LOST.items():
        if facts.settings.get(name) == "off":
            yield Finding(
                *(None, where, Severity.ERROR, f"the setting {name} of PostgreSQL is off: {risk}"),
                "Turn it on, also if the user or the database has a value of its own. As a superuser: "
                f"{PSQL} 'ALTER SYSTEM SET {name} = on' -c 'SELECT pg_reload_conf()'",
            )


def _of_connections(facts: ServerFacts, where: str) -> Iterator[Finding]:
    if facts.most - facts.used < FEW:
        yield Finding(
            *(None, where, Severity.WARNING),
            f"{facts.used} of at most {counted(facts.most, 'connection', 'connections')} are open, and a server "
            "needs up to 20",
            "End programs that keep connections open, or raise the limit: max_connections, or CONNECTION LIMIT of "
            f"the user or the database. To list the connections: {PSQL} '{CONNECTIONS}'",
        )


def _of_transaction(each: OpenTransaction, where: str) -> Finding:
    harm = f"has been open for {each.age_s / 3600:.1f} hours: it keeps PostgreSQL from cleaning its tables, and may "
    harm += "block uploads and imports"
    if each.number is None:
        what, end = f"the prepared transaction “{each.name}” of {each.user}", "ROLLBACK PREPARED '{}'"
        end = end.format(each.name.replace("'", "''"))
    else:
        what = f"a transaction of {each.user or 'another user'}{f' (“{each.name}”)' if each.name else ''}"
        end = f"SELECT pg_terminate_backend({each.number})"
    do = f"If it is not needed, end it: {PSQL} {shlex.quote(end)}"
    return Finding(None, where, Severity.WARNING, f"{what} {harm}", do)


def _of_time(facts: ServerFacts, where: str) -> Iterator[Finding]:
    if abs(facts.ahead_s) > CLOCKS_S:
        yield Finding(
            *(None, where, Severity.WARNING),
            f"the clocks differ: the one of the database is {abs(facts.ahead_s):,.0f} seconds "
            f"{'ahead of' if facts.ahead_s > 0 else 'behind'} the one of this machine",
            "Set the wrong one: timedatectl set-ntp true",
        )


def _lost(file: StoredFile, fault: str, where: str) -> Finding:
    which = "the kept file" if file.kept else "the visible file"
    if file.object:
        return Finding(
            *(file.tenant, file.path, Severity.ERROR, f"{which} “{file.path}” {fault} (object {file.object})"),
            "Restore this object from an older version of it or from a copy. Without one, have the file sent again",
        )
    return Finding(
        *(file.tenant, file.path, Severity.ERROR, f"{which} “{file.path}” {fault} (content {file.content})"),
        f"Restore the rows of this content in the tables contents and chunks from a backup of {where}. Without one, "
        "have the file sent again",
    )


def _missing(needed: Needed, where: str) -> Finding:
    fault = "is missing" if needed.stored_size is None else f"has {needed.stored_size:,} bytes, not {needed.size:,}"
    return Finding(
        *(needed.tenant, needed.path, Severity.ERROR),
        f"the kept file “{needed.path}”, which {needed.of} needs, {fault}",
        f"Restore its row in the table kept_files from a backup of {where}. Without one, have the file sent again",
    )


def _of_quotas(facts: FileFacts) -> Iterator[Finding]:
    for each in facts.miscounted:
        (size, files), (true_size, true_files) = each.stored, each.true
        yield Finding(
            *(each.tenant, "usage", Severity.WARNING),
            f"the quota counts {size:,} bytes and {counted(files, 'file', 'files')}, but the tenant has "
            f"{true_size:,} bytes and {true_files:,}",
            f"Count again: {PSQL} '{COUNT.format(number=each.number)}'",
        )
