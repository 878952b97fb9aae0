"""Random histories of runs are the same in the store and in a model of plain lists."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

import pytest

from engine.runs import Run, RunStore
from engine.store import Store
from importer.model import ImportState
from tests.support.engines import OpenStore
from tests.support.runs import arrive, ended, put_in_line, start

LINES = [(tenant, hook) for tenant in ("acme", "globex") for hook in ("invoices", "scans")]
STEPS = 120
SEEDS = int(os.environ.get("SEEDS_OF_RUNS", "3"))
Key = tuple[str, int]
Line = tuple[str, str]


@dataclass
class Model:
    """The runs as they should be: those that arrive, wait in order, run and failed, by line."""

    arriving: list[Key] = field(default_factory=list)
    queued: dict[Line, list[Key]] = field(default_factory=lambda: {line: [] for line in LINES})
    running: dict[Line, Run] = field(default_factory=dict)
    failed: list[Key] = field(default_factory=list)
    line_of: dict[Key, Line] = field(default_factory=dict)

    def heads(self) -> set[Key]:
        return {waiting[0] for line, waiting in self.queued.items() if waiting and line not in self.running}


class Player:
    """Does random steps in the store and in the model."""

    def __init__(self, runs: RunStore, chance: random.Random) -> None:
        self.runs = runs
        self.model = Model()
        self.chance = chance

    async def arrive(self) -> None:
        tenant, hook = line = self.chance.choice(LINES)
        key = tenant, await arrive(self.runs, tenant, hook)
        self.model.line_of[key] = line
        self.model.arriving.append(key)

    async def land(self) -> None:
        if self.model.arriving:
            key = self.model.arriving.pop(self.chance.randrange(len(self.model.arriving)))
            await self.runs.landed(*key)
            self.model.queued[self.model.line_of[key]].append(key)

    async def claim(self) -> None:
        """Claim any run: only one that is first, and has none of its line running, is a head."""
        if heads := sorted(self.model.heads()):
            tenant, number = key = self.chance.choice(heads)
            line = self.model.line_of[key]
            self.model.running[line] = await start(self.runs, number, tenant)
            self.model.queued[line].remove(key)
        for line in self.model.running:
            for key in self.model.queued[line][:1]:
                assert await self.runs.claim(*key, sha256="") is None

    async def requeue(self) -> None:
        if self.model.running:
            line, run = self.model.running.popitem()
            assert await self.runs.requeue(run, message=None, error=None, not_before=0.0)
            self.model.queued[line].insert(0, run.key)

    async def finish(self) -> None:
        if self.model.running:
            _, run = self.model.running.popitem()
            state = self.chance.choice([ImportState.COMPLETED, ImportState.FAILED])
            assert await self.runs.finish(ended(run, state), published=True)
            if state is ImportState.FAILED:
                self.model.failed.append(run.key)

    async def rerun(self) -> None:
        if self.model.failed:
            key = self.model.failed.pop(self.chance.randrange(len(self.model.failed)))
            await self.runs.rerun(*key)
            self.model.queued[self.model.line_of[key]].append(key)

    async def delete(self) -> None:
        """Try to delete all runs of a tenant but the failed ones: those that wait stay."""
        tenant = self.chance.choice(LINES)[0]
        mine = [number for name, number in self.model.line_of if name == tenant]
        await self.runs.delete(tenant, [each for each in mine if (tenant, each) not in self.model.failed])

    async def check(self) -> None:
        assert {each.key for each in await self.runs.heads()} == self.model.heads()
        waiting = {line: len(keys) + (line in self.model.running) for line, keys in self.model.queued.items()}
        assert await self.runs.counts() == {line: count for line, count in waiting.items() if count}
        running = {run.key for run in self.model.running.values()}
        assert {each.key for each in await self.runs.cut_off()} == running | {*self.model.arriving}


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_random_history_has_the_same_heads_in_the_store_and_in_the_model(
    engine: OpenStore, seed: int
) -> None:
    chance = random.Random(seed)
    async with engine("acme", "globex") as store:
        player = Player(store.runs(), chance)
        steps = [player.arrive, player.land, player.land, player.claim, player.claim]
        steps += [player.requeue, player.finish, player.rerun, player.delete]
        for _ in range(STEPS):
            await chance.choice(steps)()
            await player.check()
        model, before = player.model, [(each.id, each.state) for each in await store.runs().page("acme")]
        assert len(model.line_of) > STEPS / 20
    async with engine() as again:
        assert [(each.id, each.state) for each in await again.runs().page("acme")] == before
        await _played_out(again, model)


async def _played_out(store: Store, model: Model) -> None:
    """The runs that wait are started in the order in which they landed, or were asked to run again."""
    runs = store.runs()
    for run in [*model.running.values()]:
        await runs.requeue(run, message=None, error=None, not_before=0.0)
        model.queued[model.line_of[run.key]].insert(0, run.key)
    started: dict[Line, list[Key]] = {line: [] for line in LINES}
    while heads := await runs.heads():
        run = await start(runs, heads[0].id, heads[0].tenant)
        started[run.tenant, run.hook].append(run.key)
        await runs.finish(ended(run, ImportState.COMPLETED), published=True)
    assert started == model.queued


async def test_a_line_that_waits_stops_no_other_line(store: Store) -> None:
    runs = store.runs()
    for _ in range(2):
        await put_in_line(runs)
        await put_in_line(runs, hook="scans")
    await runs.requeue(await start(runs, 1), message=None, error=None, not_before=9e9)
    assert [(each.id, each.not_before) for each in await runs.heads()] == [(1, 9e9), (2, 0.0)]
