"""The events of the machine and its operator: stops, backups, drills, restores, a full disk, keys and tokens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import asyncssh

from tests.soak.checks import differences_of_users
from tests.soak.deeds import Deeds
from tests.soak.model import Tenant
from tests.soak.world import Totals, World
from tests.support.disks import fill
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

KEY_DAYS = 3
PROBED_DAYS = 2
"""Days for which an expired key or token is still tried."""
LOOK = timedelta(seconds=11)
"""The server looks at its disk within this time."""


class Operator:
    """The events of a day. `found` notes a difference."""

    def __init__(self, world: World, deeds: Deeds, totals: Totals, found: Callable[[str], None]) -> None:
        self.world = world
        self.deeds = deeds
        self.totals = totals
        self.found = found
        self.keys: list[tuple[Path, datetime]] = []
        self.tokens: list[tuple[str, datetime]] = []

    @property
    def tenants(self) -> dict[str, Tenant]:
        return self.deeds.tenants

    async def begins_day(self, events: set[str]) -> None:
        """Do what happens before the companies send their files."""
        if "no mail" in events:
            self.world.mail.go_away()
        if "kill" in events:
            self.world.kill()
            self.deeds.restart()
        if "stop" in events:
            if (code := self.world.server.stop()) != 0:
                self.found(f"the server ended with {code} after SIGTERM")
            self.deeds.restart()
        if "full disk" in events and self.world.has_disk:
            await self.fills_the_disk()
        if "new key" in events:
            self.adds_a_key()
        if "new token" in events:
            self.adds_a_token()

    def ends_day(self, events: set[str]) -> None:
        """Do what happens after the last file of the day; the server is idle."""
        if events & {"backup", "drill", "restore"}:
            self.world.server.cli("backup", str(self.world.backup))
            self.totals.backups += 1
        if "drill" in events:
            self.drills()
        if "restore" in events:
            self.restores()
        if "doctor" in events and (said := self.world.server.cli("doctor", "--json", check=False).json):
            self.found(f"the doctor found {said}")

    # The disk

    async def fills_the_disk(self) -> None:
        """Fill the disk: uploads are refused, and work again when there is space."""
        self.totals.full_disks += 1
        world = self.world
        world.settle()
        filler = fill(world.server.data)
        world.clock.let_pass(LOOK)
        wait_until(lambda: not self._disk_is_good(), what="the server to see that its disk is full")
        name = next(iter(self.tenants))
        with suppress(asyncssh.Error, OSError):
            await world.put(name, b"first_name,last_name,email\nAnn,Lee,ann@lee.example\n")
            self.found(f"{name}: an upload was acknowledged while the disk was full")
        filler.unlink()
        world.clock.let_pass(LOOK)
        wait_until(self._disk_is_good, what="the server to see that its disk has space")
        world.settle()
        tenant = self.tenants[name]
        if world.server.state(name, len(tenant.records) + 1) == "aborted":
            tenant.ends(tenant.arrives(0), "aborted")

    def _disk_is_good(self) -> bool:
        return bool(self.world.get("/readyz").json()["disk"])

    # Backups

    def drills(self) -> None:
        """Restore the backup beside the server, and compare the users."""
        self.totals.drills += 1
        folder = self.world.folder / "drill"
        folder.mkdir()
        drill = ServerProcess(folder, env=self.world.env)
        try:
            drill.cli("restore", str(self.world.backup), "--drop-owed")
            with drill:
                for tenant in self.tenants.values():
                    for difference in differences_of_users(tenant, drill.files(tenant.company.name).users_db):
                        self.found(f"in a drill: {difference}")
        finally:
            shutil.rmtree(folder)

    def restores(self) -> None:
        """Lose the data folder, and restore it from the backup that was just made."""
        self.totals.restores += 1
        self.world.kill()
        self.world.empty()
        self.world.server.cli("restore", str(self.world.backup))
        self.deeds.restart()

    # Keys and tokens

    def adds_a_key(self) -> None:
        number, last_day = len(list(self.world.folder.glob("key-*.pub"))), self._last_day()
        key = _make_key(self.world.folder, f"key-{number}")
        public = str(key.with_suffix(".pub"))
        name = next(iter(self.tenants))
        self.world.server.cli("key", "add", name, public, "--expires", f"{last_day:%Y-%m-%d}")
        self.keys.append((key, last_day))

    def adds_a_token(self) -> None:
        last_day = self._last_day()
        options = ("--operator", "--expires", f"{last_day:%Y-%m-%d}", "--json")
        self.tokens.append((self.world.server.cli("token", "create", *options).json["token"], last_day))

    def _last_day(self) -> datetime:
        day = (self.world.clock.now() + timedelta(days=KEY_DAYS)).date()
        return datetime.combine(day, time(), UTC)

    async def tries_keys_and_tokens(self) -> None:
        """A key and a token are valid to the end of their last day, and not longer."""
        now = self.world.clock.now()
        name = next(iter(self.tenants))
        for key, last_day in self.keys:
            valid = now < last_day + timedelta(days=1)
            if await self.world.may_log_in(name, key) != valid:
                self.found(f"{name}: a key valid to {last_day:%Y-%m-%d} is {'refused' if valid else 'accepted'}")
        for token, last_day in self.tokens:
            valid = now < last_day + timedelta(days=1)
            answer = self.world.get("/api/v1/tenants", Authorization=f"Bearer {token}").status_code
            if answer != (200 if valid else 401):
                self.found(f"a token valid to {last_day:%Y-%m-%d} gets {answer}")
        self.keys = [each for each in self.keys if now < each[1] + timedelta(days=1 + PROBED_DAYS)]
        self.tokens = [each for each in self.tokens if now < each[1] + timedelta(days=1 + PROBED_DAYS)]


def _make_key(folder: Path, name: str) -> Path:
    """Write a new key pair; return the file of the private key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = folder / name
    private.write_bytes(key.export_private_key())
    private.with_suffix(".pub").write_bytes(key.export_public_key())
    return private
