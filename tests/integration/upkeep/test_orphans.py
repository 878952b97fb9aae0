"""The work of servers that have gone is taken up by one that runs."""

from __future__ import annotations

from typing import Any

import pytest

from importer.errors import TryAgain
from server.upkeep import orphans
from server.upkeep.orphans import PATIENCE_S, Orphans
from tests.support.waiting import eventually


class SharedNode:
    """A server that shares its data."""

    shares = True

    def __init__(self) -> None:
        self.buried: list[float] = []

    def leads(self) -> bool:
        return True

    async def bury(self, patience_s: float) -> None:
        self.buried.append(patience_s)


class Left:
    """Work that was left, by tenant: the error of each try to take it up, until one succeeds."""

    def __init__(self, **tenants: list[Exception]) -> None:
        self.tenants = tenants

    async def left(self) -> set[str]:
        return {*self.tenants}

    async def take_up(self, tenant: str) -> None:
        errors = self.tenants[tenant]
        if errors:
            raise errors.pop()
        del self.tenants[tenant]


async def run(node: Any, left: Any) -> None:
    work = Orphans(node, left)
    work.start()
    try:
        await eventually(lambda: not left.tenants)
    finally:
        await work.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "LOOK_S", 0.01)


async def test_work_of_gone_servers_is_taken_up_at_each_look() -> None:
    node, left = SharedNode(), Left(acme=[], globex=[TryAgain("database_busy", "busy")] * 3)
    await run(node, left)
    assert len(node.buried) >= 4
    assert {*node.buried} == {PATIENCE_S}


@pytest.mark.logs("work_left")
async def test_a_tenant_whose_work_cannot_be_taken_up_delays_no_other() -> None:
    await run(SharedNode(), Left(acme=[ValueError("a fault")], globex=[]))
