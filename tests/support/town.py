"""Many tenants, and the parts of a server that look at all of them, in the process of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from importer.queue.queue import Queue
from server.notify.outbox import Outbox
from server.notify.service import Notifications
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.upkeep.counting import Counting
from server.upkeep.indexing import Indexer
from server.upkeep.keeping import Keeper
from server.upkeep.metrics import Metrics
from tests.support.installation import Installation, installation


class Town:
    """The parts of a server on many tenants."""

    def __init__(self, stored: Installation, tenants: Tenants, queue: Queue) -> None:
        self.stored = stored
        self.tenants = tenants
        self.queue = queue
        self.now = datetime.now(UTC)
        self.soundness = Soundness(tenants, tenants.store.imports())
        self.figures = self.soundness.figures
        self.metrics = Metrics()
        self.counting = Counting(self.metrics, tenants, queue, lambda: self.soundness.broken, self.figures)
        outbox = Outbox(tenants.store.outbox())
        settings = stored.settings(smtp_url="smtp://127.0.0.1:9", smtp_from="a@b.example")
        self.telling = Notifications(settings, tenants, outbox, self.metrics, self.soundness, self.figures)
        self.keeper = Keeper(tenants, queue, lambda: self.now, self.telling, figures=self.figures)
        self.indexer = Indexer(tenants, self.soundness, self.figures)

    async def rounds(self) -> None:
        """Run one round of all parts that check all tenants."""
        await self.soundness.look_at_all()
        await self.keeper.notify_stale_feeds()
        await self.keeper.prune(await self.keeper._due())
        self.indexer._looked_at = None
        await self.indexer._round()
        inviter = self.telling._inviter
        assert inviter
        for name in await inviter._tenants():
            await inviter._visit(name)
        await self.scrape()

    async def scrape(self) -> str:
        """Return the metrics, counted now."""
        await self.counting.count()
        return self.metrics.render().decode()

    def add_user(self, tenant: str, user: int = 2) -> None:
        """Add a user with this id, as another program does."""
        add = f"INSERT INTO users (id, first_name, last_name) VALUES ({user}, 'Zoë', 'Ash')"
        self.stored.change_users(tenant, add)

    def spoil_settings(self, tenant: str) -> None:
        """Store a setting that is not valid."""
        self.stored.change_users(tenant, "INSERT INTO settings (key, value) VALUES ('max_sessions', '\"no number\"')")

    @property
    def active(self) -> dict[str, int]:
        """The active users of each tenant, as the figures have them."""
        return {name: figures.active for name, figures in self.figures.all.items()}


@asynccontextmanager
async def town(data: Path, count: int) -> AsyncIterator[Town]:
    """Open `count` tenants, `company-0` and so on, created with a user and a limit for its feed."""
    stored = installation(data)
    async with stored.open(serving=True) as tenants:
        built = Town(stored, tenants, tenants.store.imports())
        if not await tenants.list():
            for number in range(count):
                await tenants.add(f"company-{number}")
                await tenants.change_settings(f"company-{number}", {"stale_after_days": 3})
                built.add_user(f"company-{number}", 1)
        yield built


async def take_up_nothing(tenant: str) -> None:
    pass
