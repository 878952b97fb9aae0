"""The simulation: one day after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ground.words import counted
from tests.soak.checks import Checks
from tests.soak.company import COMPANIES, Staff
from tests.soak.deeds import Deeds
from tests.soak.events import Operator
from tests.soak.model import Tenant
from tests.soak.plan import Day, Errand, plan
from tests.soak.world import EVENING, NIGHT, Totals, World, opened
from tests.support.jumping_clock import JumpingClock
from tests.support.writing import by_hand

WEEK = 7
A_MOMENT = timedelta(seconds=0.6)


class Simulation:
    """A world, its model and the differences between the two."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.seed = seed
        self.tenants = {each.name: Tenant(each) for each in COMPANIES}
        today = world.clock.now().date()
        self.staff = {each.name: Staff(each, today) for each in COMPANIES}
        self.found: list[str] = []
        self.totals = Totals()
        self.checks = Checks(world, self.tenants)
        self.deeds = Deeds(world, self.tenants, self.staff, self.found.append)
        self.operator = Operator(world, self.deeds, self.totals, self.found.append)
        self.created = world.clock.now()
        self.no_mail = False

    def set_up(self) -> None:
        self.world.start()
        self.world.token = self.world.server.cli("token", "create", "--operator", "--json").json["token"]
        for company in COMPANIES:
            self.world.server.add_tenant(company.name, **company.all_settings(self.world.web.url))

    async def live(self, day: Day, faults: Sequence[str] = ()) -> None:
        """Live one day, and compare."""
        await self.operator.begins_day(day.events)
        for errand in day.errands:
            await self.does(errand)
        self.night_falls(EVENING)
        await self.compares()
        for fault in faults:
            self.damage(fault)
        if not self.found:
            self.operator.ends_day(day.events)
            if faults or "restore" in day.events:
                self.found += self.checks.differences()
        self.totals.sizes.append(self.world.size())

    async def does(self, errand: Errand) -> None:
        if errand.step:
            self.steps(errand.step)
        begun = self.world.clock.now()
        await self.deeds.run(errand)
        self.invites()
        if errand.step:
            self.world.settle()
        self.found += self.checks.note_ends(begun)
        if errand.step:
            self.may_do_now()
            self.steps(-errand.step)
            self.totals.steps += 1

    def steps(self, step: timedelta) -> None:
        """Step the wall clock; what is due then may happen."""
        self.world.settle()
        begun = self.world.clock.now()
        self.world.clock.step(step)
        now = self.world.clock.now()
        for tenant in self.tenants.values():
            tenant.release(now)
            for record in tenant.records.values():
                if record.finished is None:
                    self.deeds.wait_for(tenant, record)
        self.may_do_now()
        self.found += self.checks.note_ends(min(begun, now))

    def may_do_now(self) -> None:
        now = self.world.clock.now()
        for tenant in self.tenants.values():
            tenant.shows(now)
            tenant.looks_at_feeds(now, self.created, sure=False)
            tenant.invites(now, sure=False)

    def invites(self) -> None:
        """Users whose hire date has come are invited soon after their import."""
        now = self.world.clock.now()
        for tenant in self.tenants.values():
            tenant.invites(now, sure=False)

    def night_falls(self, span: timedelta) -> None:
        """Let time pass, and expect what it brings."""
        begun = self.world.clock.now()
        now = self.world.pass_time(span)
        for tenant in self.tenants.values():
            tenant.release(now)
            tenant.an_hour_passes()
            for record in tenant.records.values():
                if record.finished is None and record.state != "queued":
                    self.deeds.wait_for(tenant, record)
        self.found += self.checks.note_ends(begun)
        for tenant in self.tenants.values():
            tenant.shows(self.world.clock.now())
            tenant.looks_at_feeds(now, self.created, sure=True)
            tenant.invites(now, sure=not self.no_mail)
        self.world.settle()

    async def compares(self) -> None:
        """Compare until nothing differs, because mails and rounds take a moment; then note what still does."""
        until = time.monotonic() + 20
        while True:
            wrong = [*self.checks.differences(), *([] if self.no_mail else self.checks.received())]
            wrong += self.checks.size()
            if not wrong or time.monotonic() > until or self.found:
                break
            await asyncio.sleep(0.02)
            if not self.world.is_sending():
                self.world.clock.let_pass(A_MOMENT)  # the server looks at its outbox twice a second
            self.world.get("/healthz")
        self.found += wrong
        if not self.found:
            await self.compares_quotas()
            await self.operator.tries_keys_and_tokens()

    async def compares_quotas(self) -> None:
        for name, tenant in self.tenants.items():
            async with self.world.client(name) as sftp:
                facts = await sftp.statvfs("/")
            quotas = tenant.company.quota_bytes, 10_000
            self.found += self.checks.quota_differs(tenant, facts.bfree, facts.ffree, quotas)

    def damage(self, fault: str) -> None:
        """Change the data by hand, as a fault of the server would: the comparison must find it."""
        files = self.world.server.files("acme")
        if fault == "user":
            by_hand(files.users_db, "DELETE FROM users WHERE email = 'last@acme.example'")
        elif fault == "file":
            (files.uploads / "999.csv").touch()
        else:
            by_hand(self.world.server.data / "headcount.db", "DELETE FROM imports WHERE tenant = 'acme' AND id = 1")


def simulate(
    folder: Path, clock: JumpingClock, days: int, seed: int, faults: Sequence[str] = (), *, disk: bool
) -> int:
    """Simulate `days` days; return the exit code."""
    if not disk:
        print("No disk can be mounted, so none is full.", flush=True)
    with opened(folder, clock, disk=disk) as world:
        simulation = Simulation(world, seed)
        simulation.set_up()
        begun = time.monotonic()
        for number in range(days):
            day = plan(seed, number)
            if code := _live(simulation, day, faults if number == days - 1 else ()):
                return code
            if (number + 1) % WEEK == 0:
                _tell(simulation, number + 1, time.monotonic() - begun)
        _tell_the_end(simulation, days)
    return 0


def _live(simulation: Simulation, day: Day, faults: Sequence[str]) -> int:
    """Live one day after the night before it. Return 1 and print what differs, if something does."""
    world = simulation.world
    try:
        if simulation.no_mail:
            world.mail.come_back()
        if day.number:
            simulation.night_falls(NIGHT)
        simulation.no_mail = "no mail" in day.events
        asyncio.run(simulation.live(day, faults))
    except Exception as error:
        simulation.found.append(f"{type(error).__name__}: {error}")
        if not isinstance(error, AssertionError):
            raise
    if not simulation.found:
        return 0
    print(f"seed {simulation.seed}, day {day.number}, {_date(world.clock.now())}: a difference", flush=True)
    for line in simulation.found[:30]:
        print(f"  {line}")
    feeds = ", ".join(f"{each.company.name}: {each.feed}" for each in day.errands)
    print(f"  that day: {feeds}; {', '.join(sorted(day.events)) or 'no events'}")
    print(f"  again: make soak DAYS={day.number + 1} SEED={simulation.seed}", flush=True)
    return 1


def _tell(simulation: Simulation, days: int, took_s: float) -> None:
    size = simulation.totals.sizes[-1]
    facts = f"{_imports(simulation)}, {_mebibytes(size.memory_kib)}, {size.descriptors} descriptors, {took_s:.0f} s"
    print(f"day {days}, {_date(simulation.world.clock.now())}: {facts}", flush=True)


def _tell_the_end(simulation: Simulation, days: int) -> None:
    totals, world = simulation.totals, simulation.world
    counts = (
        (world.kills, "kill"),
        (totals.backups, "backup"),
        (totals.drills, "drill"),
        (totals.restores, "restore"),
        (totals.steps, "clock step"),
        (totals.full_disks, "full disk"),
        (len(world.mail.mails), "mail"),
        (len(world.web.calls), "webhook"),
    )
    facts = ", ".join([_imports(simulation), *(counted(number, one, f"{one}s") for number, one in counts)])
    most = max(each.memory_kib for each in totals.sizes), max(each.descriptors for each in totals.sizes)
    print(
        f"{counted(days, 'day', 'days')}, seed {simulation.seed}: {facts},"
        f" at most {_mebibytes(most[0])} and {most[1]} descriptors, no difference",
        flush=True,
    )


def _imports(simulation: Simulation) -> str:
    return counted(sum(len(each.records) for each in simulation.tenants.values()), "import", "imports")


def _mebibytes(kib: int) -> str:
    return f"{kib / 1024:.0f} MiB"


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
