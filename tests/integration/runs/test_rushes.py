"""While a tenant sends many files one after the other, its runs wait for the uploads."""

from __future__ import annotations

import asyncio
import math

import pytest

from importer.model import ImportState
from server.runs import runner as runner_module
from server.runs import rush as rush_module
from server.runs.rush import FEW
from tests.support.run_stage import Stage


async def test_the_runs_of_a_tenant_wait_while_it_sends_many_files(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("GAP_S", "PAUSE_S", "LONGEST_S"):  # a machine that is busy ends no rush
        monkeypatch.setattr(rush_module, limit, math.inf)
    played = stage.play()
    rush = asyncio.create_task(_rush(stage))
    runs = [await stage.house.upload() for _ in range(3)]
    other = await stage.house.upload(tenant="globex")
    stage.runner.start()
    assert (await stage.ended(other)).state is ImportState.COMPLETED
    assert played.seen == [("globex", other.id)]
    rush.cancel()
    monkeypatch.setattr(rush_module, "GAP_S", 0.1)
    await stage.ended(runs[-1])
    assert played.seen[1:] == [("acme", run.id) for run in runs]


async def test_an_endless_rush_delays_runs_only_at_its_beginning(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rush_module, "LONGEST_S", 0.5)
    stage.play()
    rush = asyncio.create_task(_rush(stage))
    stage.runner.start()
    assert (await stage.ended(await stage.house.upload())).state is ImportState.COMPLETED
    assert not rush.done()
    rush.cancel()


async def test_the_runs_of_others_follow_at_once_while_a_tenant_sends_many_files(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "RUSH_LOOK_S", 60)
    monkeypatch.setattr(runner_module, "LOOK_S", 60)
    played = stage.play()
    rush = asyncio.create_task(_rush(stage))
    runs = [await stage.house.upload(tenant="globex") for _ in range(3)]
    stage.runner.start()
    await stage.ended(runs[-1])
    runs.append(await stage.house.upload(tenant="globex"))
    stage.runner.landed("globex")
    await stage.ended(runs[-1])
    assert played.seen == [("globex", run.id) for run in runs]
    rush.cancel()


async def _rush(stage: Stage) -> None:
    """Let files of acme land without an end."""
    for _ in range(FEW + 1):
        stage.runner.landed("acme")
    while True:
        stage.runner.landed("acme")
        await asyncio.sleep(0.001)
