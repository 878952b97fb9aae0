"""The part of `headcount doctor` that knows PostgreSQL.

It works beside a running server, and changes nothing: also no tables are made.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection

from engine.examined import Counted, FileFacts, Needed, OpenTransaction, ServerFacts, StoredFile
from engine.postgres.database import Database, Steps
from engine.postgres.files.contents import AT_ONCE
from engine.postgres.files.examining_objects import sha256_of
from engine.postgres.migrations import versions
from engine.postgres.server.node import NAME
from engine.shared.files import CHUNK
from engine.shared.objects import Objects

LONG_S = 3600
"""A transaction that has been open for so many seconds is long: no import takes so long."""
STATEMENT_S = 600
READ = {
    "transaction_isolation": "repeatable read",
    "transaction_read_only": "on",
    "statement_timeout": f"{STATEMENT_S}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_S}s",
}
"""Settings of a transaction that sees all files as they are at one moment."""

SERVER = """
    SELECT current_setting('server_encoding') AS encoding, extract(epoch FROM clock_timestamp())::float8 AS now,
        (SELECT json_object_agg(name, setting) FROM pg_settings
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')) AS settings"""

# Other users see only that a connection is there, and that is enough here.
CONNECTIONS = """
    WITH open AS (SELECT datname, usename FROM pg_stat_activity WHERE backend_type = 'client backend'),
    limits AS (
        SELECT count(*) AS used, current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0) AS most FROM open
        UNION ALL SELECT (SELECT count(*) FROM open WHERE datname = current_database()), datconnlimit
            FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
        UNION ALL SELECT (SELECT count(*) FROM open WHERE usename = current_user), rolconnlimit
            FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
    SELECT used, most FROM limits ORDER BY most - used LIMIT 1"""

OPEN = """
    SELECT pid, application_name, coalesce(usename, ''), extract(epoch FROM clock_timestamp() - xact_start)::float8
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND xact_start < clock_timestamp() - make_interval(secs => %(long)s)
        AND application_name <> %(node)s
    UNION ALL SELECT NULL, gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts WHERE database = current_database()
        AND prepared < clock_timestamp() - make_interval(secs => %(long)s)
    ORDER BY 4 DESC"""

# octet_length() of bytes that are stored apart reads only their length.
INCOMPLETE = f"""
    WITH bad AS (
        SELECT contents.tenant_id, contents.id FROM contents
        LEFT JOIN chunks ON chunks.tenant_id = contents.tenant_id AND chunks.content_id = contents.id
        WHERE unneeded_at IS NULL AND object IS NULL
        GROUP BY contents.tenant_id, contents.id, contents.size, contents.sealed
        HAVING NOT contents.sealed OR coalesce(sum(octet_length(bytes)), 0) <> contents.size
            OR count(number) <> greatest(1, (contents.size + {CHUNK - 1}) / {CHUNK})
            OR max(number) <> count(number) - 1
            OR count(*) FILTER (WHERE octet_length(bytes) <> {CHUNK}
                AND number < (contents.size - 1) / {CHUNK}) > 0)
    SELECT tenants.name, kept_files.name, content_id, true FROM bad
        JOIN kept_files ON kept_files.tenant_id = bad.tenant_id AND content_id = bad.id
        JOIN tenants ON tenants.id = bad.tenant_id WHERE tenants.name IS NOT NULL
    UNION ALL SELECT tenants.name, encode(names.name, 'escape'), content_id, false FROM bad
        JOIN names ON names.tenant_id = bad.tenant_id AND content_id = bad.id
        JOIN tenants ON tenants.id = bad.tenant_id WHERE tenants.name IS NOT NULL
    ORDER BY 1, 2"""  # noqa: S608 - constants

WAITING = """
    SELECT tenant_id, 'import ' || id AS of, 'uploads/' || id || '.csv' AS path, size, sha256 FROM imports
    WHERE (state IN ('queued', 'running') AND undo IS NULL) OR (state = 'held' AND NOT dry_run)
    UNION ALL SELECT tenant_id, 'run ' || id, 'runs/' || id || '.file', size, sha256 FROM runs
    WHERE state IN ('queued', 'running')"""
NEWEST = """
    SELECT DISTINCT ON (tenant_id) tenant_id, 'import ' || id AS of, 'uploads/' || id || '.csv' AS path, size, sha256
    FROM imports WHERE applied_number IS NOT NULL AND state IN ('completed', 'completed_with_errors', 'unchanged')
    ORDER BY tenant_id, applied_number DESC"""
"""The newest applied file of each tenant: the next one is compared with it."""

NEEDED = f"""
    SELECT tenants.name, path, of, kept_files.size, needed.size FROM ({WAITING}) AS needed
    JOIN tenants ON tenants.id = needed.tenant_id
    LEFT JOIN kept_files ON kept_files.tenant_id = needed.tenant_id AND kept_files.name = path
    WHERE tenants.name IS NOT NULL AND kept_files.size IS DISTINCT FROM needed.size ORDER BY 1, 2"""  # noqa: S608

KNOWN = f"""
    SELECT tenants.name, path, content_id, needed.tenant_id, sha256, object
    FROM ({WAITING} UNION ALL SELECT * FROM ({NEWEST}) AS newest) AS needed
    JOIN tenants ON tenants.id = needed.tenant_id
    JOIN kept_files ON kept_files.tenant_id = needed.tenant_id AND kept_files.name = path
    JOIN contents ON contents.tenant_id = needed.tenant_id AND contents.id = content_id
    WHERE tenants.name IS NOT NULL AND sha256 IS NOT NULL ORDER BY 1, 2"""  # noqa: S608
CHUNKS = f"""
    SELECT bytes FROM chunks WHERE tenant_id = %s AND content_id = %s AND number >= %s
    ORDER BY number LIMIT {AT_ONCE}"""  # noqa: S608 - constants

MISCOUNTED = """
    SELECT tenants.name, tenants.id, coalesce(usage.bytes, 0), coalesce(usage.files, 0), found.bytes, found.files
    FROM tenants LEFT JOIN usage ON usage.tenant_id = tenants.id
    CROSS JOIN LATERAL (SELECT coalesce(sum(size), 0)::bigint AS bytes, count(*) AS files FROM names
        WHERE names.tenant_id = tenants.id AND counts) AS found
    WHERE tenants.name IS NOT NULL
        AND (coalesce(usage.bytes, 0), coalesce(usage.files, 0)) <> (found.bytes, found.files) ORDER BY 1"""


async def examine_server(database: Database) -> ServerFacts:
    """Gather what has to do with the server and the database as a whole. Raises TryAgain, DatabaseUnusable."""
    begun = time.time()
    (row,) = await database.read(SERVER)
    ahead_s = row["now"] - (begun + time.time()) / 2
    ((used, most),) = await database.read(CONNECTIONS)
    long = [OpenTransaction(*each) for each in await database.read(OPEN, long=LONG_S, node=NAME)]
    return ServerFacts(await versions(database), row["encoding"], row["settings"], ahead_s, used, most, tuple(long))


async def examine_files(database: Database, objects: Objects | None = None) -> FileFacts:
    """Gather what is wrong with files and quotas. The schema must be the current one.

    Files in `objects` are compared with their SHA-256; None: they are left out. Raises TryAgain.
    """
    async with database.transaction(READ) as steps:
        incomplete = [StoredFile(*row) for row in await steps.rows(INCOMPLETE)]
        needed = [Needed(*row) for row in await steps.rows(NEEDED)]
        miscounted = [
            Counted(tenant, number, (size, files), (true_size, true_files))
            for tenant, number, size, files, true_size, true_files in await steps.rows(MISCOUNTED)
        ]
        changed = await _changed(steps, objects, {(each.tenant, each.content) for each in incomplete})
    return FileFacts(tuple(incomplete), tuple(changed), tuple(needed), tuple(miscounted))


async def _changed(
    steps: Steps, objects: Objects | None, incomplete: Collection[tuple[str, int]]
) -> list[StoredFile]:
    """Return the files whose SHA-256 is not the known one, without those that are incomplete."""
    found = []
    for tenant, path, content, tenant_id, sha256, key in await steps.rows(KNOWN):
        if (tenant, content) in incomplete:
            continue
        if key is None:
            is_known = await _sha256(steps, tenant_id, content) == sha256
        else:
            is_known = objects is None or await sha256_of(objects, key) in (sha256, None)
        if not is_known:
            found.append(StoredFile(tenant, path, content, kept=True, object=key))
    return found


async def _sha256(steps: Steps, tenant_id: int, content: int) -> str:
    summed, number = hashlib.sha256(), 0
    while rows := await steps.blobs(CHUNKS, tenant_id, content, number):
        for (data,) in rows:
            summed.update(data)
        number += len(rows)
    return summed.hexdigest()
