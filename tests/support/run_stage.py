"""A runner of hooks on a real database, with hooks that do what a test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.runs import Run
from headcount.hooks import Result
from server.runs.ends import Done, End, Refused
from server.runs.registry import Attempt, Runnable
from server.runs.runner import Runner
from tests.support.run_house import RunHouse
from tests.support.waiting import eventually

Play = Callable[[Attempt], Awaitable[End]]
FINE = Done(Result())


class Played:
    """A hook that does in each attempt what a test says, and remembers the attempts."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self.attempts: list[Attempt] = []

    async def deliver(self, attempt: Attempt) -> End:
        self.attempts.append(attempt)
        return await self._play(attempt)

    asks = False

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> Refused | None:
        return None

    @property
    def seen(self) -> list[tuple[str, int]]:
        return [(attempt.tenant, attempt.run_id) for attempt in self.attempts]


async def fine(attempt: Attempt) -> End:
    return FINE


class Stage:
    """A house with a runner and the hooks `invoices` and `scans`."""

    def __init__(self, house: RunHouse) -> None:
        self.house = house
        self.hooks: dict[str, Runnable] = {}
        self.settings: dict[tuple[str, str], dict[str, Any]] = {}
        self.why_not: dict[str, str] = {}
        self.runner = self.make()

    def make(self) -> Runner:
        house = self.house
        return Runner(
            *(house.runs, house.ending, house.folder, self.hooks.get, self.settings_of, self.days_of),
            why_not=self.why_not.get,
            clock=house.clock,
            archive=house.archive,
        )

    async def settings_of(self, tenant: str, hook: str) -> dict[str, Any]:
        return self.settings.get((tenant, hook), {})

    async def days_of(self, tenant: str) -> int:
        return 90

    def play(self, play: Play = fine, hook: str = "invoices") -> Played:
        played = Played(play)
        self.hooks[hook] = played
        return played

    async def ended(self, run: Run) -> Run:
        return await self.reached(run, lambda now: now.finished_at is not None)

    async def reached(self, run: Run, condition: Callable[[Run], bool]) -> Run:
        async def there() -> bool:
            return condition(await self.house.found(run))

        await eventually(there)
        return await self.house.found(run)
