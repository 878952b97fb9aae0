"""No statement of queue, runs and outbox reads all rows, also while PostgreSQL knows nothing of its tables.

auto_explain reports what each statement has read, also those of triggers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from engine.hints import Watch
from engine.postgres.database import Database, alone
from engine.postgres.server.hints import PostgresHints
from engine.postgres.server.outbox import PostgresOutboxStore
from engine.postgres.server.queue import PostgresQueue
from engine.postgres.server.runs import PostgresRunStore
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.notices import Channel, Notice
from importer.queue.pause import Pause
from importer.requests import Sender
from tests.support.clients import POSTGRES, needs
from tests.support.queues import NOON, enqueue, found, outcome, promise, run_to
from tests.support.runs import end_in, put_in_line

pytestmark = needs(POSTGRES)

TENANTS, EACH, LARGE = 400, 60, 4000
"""All tenants but one have EACH imports and runs; one has LARGE."""
FEW, A_TENANT = 50, EACH + 20
"""The most rows that a statement reads of a table: by keys, and those of one tenant."""
EXPLAIN = "LOAD 'auto_explain'", *(
    f"SET {name} = {value}"
    for name, value in {
        "auto_explain.log_min_duration": 0,
        "auto_explain.log_analyze": "on",
        "auto_explain.log_format": "json",
        "auto_explain.log_nested_statements": "on",
        "client_min_messages": "log",
    }.items()
)  # fmt: skip

STATES = "(ARRAY['completed', 'unchanged', 'failed', 'discarded', 'completed_with_errors'])[1 + number % 5]"
OUTCOME = json.dumps(outcome(ImportState.COMPLETED).to_json())
FILL = f"""
    INSERT INTO tenants (name, created_at, last_import_id, last_run_id)
    SELECT 't' || number, 'now', {EACH}, {EACH} FROM generate_series(1, {TENANTS}) AS number;

    UPDATE tenants SET last_import_id = {LARGE}, last_run_id = {LARGE} WHERE name = 't7';

    INSERT INTO imports (tenant_id, id, state, published, dry_run, sequence, path, size, sha256, uploaded_at,
        started_at, finished_at, outcome, messages, applied_number)
    SELECT tenants.id, number, {STATES}, {STATES}, number % 10 = 9, nextval('import_order'), '/a.csv', 5,
        number::text, '2026', '2026', '2026', '{OUTCOME}', '[]',
        CASE WHEN number % 5 IN (0, 1, 4) AND number % 10 <> 9 THEN number END
    FROM tenants CROSS JOIN LATERAL generate_series(1, last_import_id) AS number;

    INSERT INTO runs (tenant_id, id, hook, state, published, sequence, path, size, uploaded_at, started_at,
        finished_at)
    SELECT tenants.id, number, 'invoices', state, state, nextval('run_order'), '/a', 5, '2026', '2026', '2026'
    FROM tenants CROSS JOIN LATERAL generate_series(1, last_run_id) AS number
    CROSS JOIN LATERAL (SELECT (ARRAY['completed', 'failed'])[1 + (number % 9 = 5)::int]) AS of (state);

    INSERT INTO checksums (tenant_id, dry_run, sha256, after)
    SELECT id, false, 'a', 0 FROM tenants, generate_series(1, 20);

    INSERT INTO outbox (tenant_id, channel, topic, message_id, content, created_at, state, finished_at)
    SELECT tenants.id, 'mail', 'import ' || number, gen_random_uuid(), '{{}}', '2026', 'sent', '2026'
    FROM tenants CROSS JOIN LATERAL generate_series(1, last_import_id) AS number"""


@dataclass
class Scene:
    """The queue and the runs on filled tables, with what each statement since `watched` was set has read."""

    database: Database
    outbox: PostgresOutboxStore = field(init=False)
    queue: PostgresQueue = field(init=False)
    runs: PostgresRunStore = field(init=False)
    watched: bool = False
    plans: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = PostgresOutboxStore(self.database)
        self.queue = PostgresQueue(self.database)
        self.runs = PostgresRunStore(self.database)

    def hear(self, said: psycopg.errors.Diagnostic) -> None:
        head, _, plan = (said.message_primary or "").partition("plan:\n")
        if self.watched and head.startswith("duration"):
            self.plans.append(json.loads(plan))

    async def watch(self) -> Watch:
        async with PostgresHints(self.database).watch() as watch:
            return watch

    def most_read(self) -> tuple[int, str]:
        """Return how many rows the statement has read that read the most of one table, and the statement."""
        reads = [(rows, plan["Query Text"]) for plan in self.plans for rows in rows_read(plan["Plan"])]
        return max(reads, default=(0, ""))


def rows_read(node: dict[str, Any]) -> Iterator[int]:
    """Yield how many rows of a table or entries of an index each node of a plan has read."""
    if {"Relation Name", "Index Name"} & node.keys() and node["Node Type"] != "ModifyTable":
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield round((node["Actual Rows"] + removed) * node["Actual Loops"])
    for below in node.get("Plans", ()):
        yield from rows_read(below)


@pytest.fixture(params=["never analyzed", "analyzed"])
async def scene(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with alone(url) as database:
        scene = Scene(database)
        await database.change(FILL)
        if request.param == "analyzed":
            await database.change("ANALYZE")
        for number in range(20, 30):
            await enqueue(scene.queue, f"t{number}")
            await put_in_line(scene.runs, f"t{number}")
        for number in (20, 21):
            await scene.queue.claim(f"t{number}", EACH + 1)
        await run_to(scene.queue, EACH + 1, ImportState.HELD, "t22")
        await enqueue(scene.queue, "t7")
        await scene.outbox.put([Notice(each, Channel.MAIL, "stale 1", "{}") for each in ("t7", "t9")], now="2026")
        async with database._lend() as connection:
            connection.add_notice_handler(scene.hear)
        for statement in EXPLAIN:
            await database.change(statement)
        scene.watched = True
        yield scene


async def lands(scene: Scene) -> None:
    assert await enqueue(scene.queue, "t9") == EACH + 1


async def lands_with_a_checksum(scene: Scene) -> None:
    await scene.queue.landed("t9", await promise(scene.queue, "t9"), checksum="b")
    await scene.queue.checksum_landed("t9", "b", dry_run=False)


async def is_sent(scene: Scene) -> None:
    facts = {"size": 1, "written": None, "uploaded_at": NOON, "dry_run": False}
    with suppress(Refused):
        await scene.queue.arriving("t9", "/a.csv", **facts, sender=Sender("Ann", tested=EACH - 1, replaces=True))


async def runs_to_its_end(scene: Scene) -> None:
    entry = await scene.queue.claim("t23", EACH + 1)
    assert entry
    await scene.queue.progress("t23", EACH + 1, 0.5)
    assert await scene.queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON), published=True)


async def is_undone(scene: Scene) -> None:
    entry = await scene.queue.undo("t10", None, by="Ann")
    assert await scene.queue.claim(*entry.key)
    assert await scene.queue.requeue(*entry.key)


async def is_decided(scene: Scene) -> None:
    await scene.queue.approve("t22", EACH + 1, by="Ann", users=frozenset())


async def is_superseded(scene: Scene) -> None:
    older, newer = await found(scene.queue, EACH + 1, "t22"), await found(scene.queue, EACH, "t22")
    assert await scene.queue.supersede(older.superseded(newer, NOON), published=True)


async def is_compared(scene: Scene) -> None:
    around = await scene.queue.checksums._store.around(await found(scene.queue, EACH + 1, "t24"))
    assert len(around.checksums) == 20


async def is_followed(scene: Scene) -> None:
    watch = await scene.watch()
    assert await watch.changed()
    assert await watch.moves(0)
    assert await watch.run_moves(0)
    assert await watch.running()
    assert await scene.queue.lately_moved(5)


async def runs_end(scene: Scene) -> None:
    await end_in(scene.runs, await put_in_line(scene.runs, "t9"), ImportState.FAILED, "t9")
    await scene.runs.rerun("t9", EACH + 1)
    await scene.runs.explain("t9", "invoices", "Later.")


async def is_told(scene: Scene) -> None:
    for message in await scene.outbox.due(Channel.MAIL, (0.0, 0.0)):
        assert await scene.outbox.begin(message.id, not_before=9.0)
    await scene.outbox.close_topic("t9", "stale 1", now="2026")


DOES: dict[str, tuple[int, Callable[[Scene], Awaitable[Any]]]] = {
    "an upload lands": (FEW, lands),
    "an upload lands with its checksum": (A_TENANT, lands_with_a_checksum),
    "a tested file is sent": (FEW, is_sent),
    "an import runs": (FEW, runs_to_its_end),
    "an import is undone": (FEW, is_undone),
    "an import is approved": (FEW, is_decided),
    "an import is superseded": (FEW, is_superseded),
    "an upload is compared": (A_TENANT, is_compared),
    "imports are deleted": (FEW, lambda scene: scene.queue.delete("t9", [1, 2, 3])),
    "changes are followed": (FEW, is_followed),
    "the imports of a start": (FEW, lambda scene: scene.queue.cut_off()),
    "the imports of a server": (FEW, lambda scene: scene.queue.at_work_here()),
    "the next of all tenants": (FEW, lambda scene: scene.queue.heads()),
    "the next among the first": (FEW, lambda scene: scene.queue.first_heads(9)),
    "the queued of a tenant": (FEW, lambda scene: scene.queue.queued("t23")),
    "the queued or held of a tenant": (FEW, lambda scene: scene.queue.queued_or_held("t22")),
    "the length of the queue": (FEW, lambda scene: scene.queue.queue_length()),
    "those in it that wait for something": (FEW, lambda scene: scene.queue.postponed()),
    "since when imports are held": (FEW, lambda scene: scene.queue.held_since()),
    "all that are under way": (FEW, lambda scene: scene.queue.all_under_way(50)),
    "those under way of a tenant": (FEW, lambda scene: scene.queue.under_way("t7")),
    "whether a tenant is busy": (FEW, lambda scene: scene.queue.is_busy("t9")),
    "whether it is busy in a pause": (FEW, lambda scene: scene.queue.is_busy("t9", Pause(NOON))),
    "the first page": (FEW, lambda scene: scene.queue.page("t7", limit=20)),
    "a page of a state": (FEW, lambda scene: scene.queue.page("t7", state=ImportState.FAILED, limit=20)),
    "the newest": (FEW, lambda scene: scene.queue.newest("t7")),
    "the newest applied": (FEW, lambda scene: scene.queue.applied("t7", 5)),
    "the newest change": (FEW, lambda scene: scene.queue.newest_change("t7")),
    "the first that waits": (FEW, lambda scene: scene.queue.waiting_first("t7")),
    "the held of a tenant": (FEW, lambda scene: scene.queue.held("t7")),
    "the copies that are needed": (FEW, lambda scene: scene.queue.copies_needed("t7")),
    "some copies that are needed": (FEW, lambda scene: scene.queue.some_copies_needed(0, 100)),
    "the newest reports": (FEW, lambda scene: scene.queue.newest_published("t7", 2)),
    "the failed before others": (FEW, lambda scene: scene.queue.failed_before("t7", 10)),
    "reports that are owed": (FEW, lambda scene: scene.queue.unpublished(without=["t9"])),
    "the past of a tenant": (A_TENANT, lambda scene: scene.queue.past("t9")),
    "what is kept of a tenant": (A_TENANT, lambda scene: scene.queue.kept("t9")),
    "the last successes": (3 * TENANTS, lambda scene: scene.queue.last_successes()),
    "the newest of all tenants": (3 * TENANTS, lambda scene: scene.queue.newest_of_all()),
    "a run ends and is run again": (FEW, runs_end),
    "the next runs of all tenants": (FEW, lambda scene: scene.runs.heads()),
    "the runs of a start": (FEW, lambda scene: scene.runs.cut_off()),
    "the runs of a server": (FEW, lambda scene: scene.runs.at_work_here()),
    "a page of runs": (FEW, lambda scene: scene.runs.page("t7", hook="invoices", limit=20)),
    "the waiting runs by hook": (FEW, lambda scene: scene.runs.counts()),
    "the newest failures": (FEW, lambda scene: scene.runs.newest_failures(20)),
    "the failed runs of a tenant": (FEW, lambda scene: scene.runs.failed("t9")),
    "the copies that runs need": (FEW, lambda scene: scene.runs.copies_needed("t7")),
    "the newest reports of a hook": (FEW, lambda scene: scene.runs.newest_published("t7", "invoices", 10)),
    "reports of runs that are owed": (FEW, lambda scene: scene.runs.unpublished()),
    "reports of a tenant's runs": (FEW, lambda scene: scene.runs.unpublished("t7")),
    "runs that ended long ago": (FEW, lambda scene: scene.runs.ended_before("t7", "2025")),
    "the first end of a run": (FEW, lambda scene: scene.runs.first_end("t7", "2026")),
    "messages that are due": (FEW, is_told),
    "messages that are owed": (FEW, lambda scene: scene.outbox.owed(10)),
    "how many messages wait": (FEW, lambda scene: scene.outbox.lengths()),
    "the newest messages": (FEW, lambda scene: scene.outbox.newest("t7", 10)),
    "the bytes of failed runs": (FEW, lambda scene: scene.runs.failed_bytes("t9")),
}


async def test_no_statement_of_queue_runs_and_outbox_reads_all_rows(scene: Scene) -> None:
    slow = {}
    for what, (most, do) in DOES.items():
        scene.plans.clear()
        await do(scene)
        assert scene.plans, what
        rows, statement = scene.most_read()
        if rows > most:
            slow[what] = f"{rows} rows by {statement}"
    assert slow == {}
