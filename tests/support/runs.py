"""Runs of hooks in a store, for tests."""

from __future__ import annotations

from dataclasses import replace

from engine.runs import Run, RunOutcome, RunStore
from importer.model import ImportState, Problem, Severity
from tests.support.queues import NOON

SHA256 = "ab" * 32
OUTCOME = RunOutcome({"rows": 3}, (dict(Problem(Severity.WARNING, "odd", "Odd.", 2, "price", "x").to_json()),))


async def arrive(runs: RunStore, tenant: str = "acme", hook: str = "invoices", *, size: int = 5) -> int:
    """Add an arriving upload."""
    return await runs.arriving(tenant, hook, f"/{hook}/march.csv", size=size, uploaded_at=NOON)


async def put_in_line(runs: RunStore, tenant: str = "acme", hook: str = "invoices", *, size: int = 5) -> int:
    """Add a published upload."""
    number = await arrive(runs, tenant, hook, size=size)
    await runs.landed(tenant, number)
    return number


async def start(runs: RunStore, number: int, tenant: str = "acme") -> Run:
    """Start a queued run."""
    run = await runs.claim(tenant, number, sha256=SHA256)
    assert run
    return run


def ended(run: Run, state: ImportState, at: str = "2026-03-01T12:00:05.000Z") -> Run:
    """Return `run` as it is after it ended in `state`."""
    message, error = ("It failed.", "ValueError: no") if state is ImportState.FAILED else (None, None)
    return replace(run, state=state, finished_at=at, message=message, error=error, outcome=OUTCOME)


async def end_in(
    runs: RunStore, number: int, state: ImportState, tenant: str = "acme", at: str = "2026-03-01T12:00:05.000Z"
) -> Run:
    """Start a queued run and end it in `state`."""
    run = ended(await start(runs, number, tenant), state, at)
    assert await runs.finish(run, published=True)
    return run
