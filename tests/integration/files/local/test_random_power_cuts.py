"""Clients send, rename and remove files of hooks, and the power is cut at random moments: all with an OK are there.

A cut leaves the database as it was flushed, or with more of its log. If the bytes of a file are in the database,
the disk may have the old name, the new one with its bytes or without them, or none, and the same of its copy.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from engine.sqlite.server import keeping
from importer.model import ImportState
from server.files.local.at_once import SHORT_FILE, AtOnce
from tests.support.accepting import AcceptingHouse
from tests.support.installation import installation
from tests.support.sftp import sftp_house

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

SEEDS = int(os.environ.get("SEEDS_OF_FILES", "3"))
NAMES = tuple(f"invoices/{name}.csv" for name in "abc")
OPERATIONS = ("put", "put", "put", "put a part", "put a long file", "rename", "remove")
DATABASE = ("headcount.db", "headcount.db-wal")


@dataclass(frozen=True)
class Cut:
    """A data folder as a power cut may have left it, and the files and runs that had their OK."""

    data: Path
    visible: dict[str, bytes]
    sent: list[bytes]


class Game:
    """A client, and copies of the data folder at random moments."""

    def __init__(self, seed: int, scene: AcceptingHouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dice = random.Random(seed)
        self.scene = scene
        self.data = scene.house.folder.root.parent.parent
        self.visible: dict[str, bytes] = {}
        self.sent: list[bytes] = []
        self.cuts: list[Cut] = []
        self._folder = folder
        self._noting_it = threading.Lock()
        self._note_flushed()
        for owner, name, first in ((AtOnce, "show", True), (keeping, "flush_log", False)):
            monkeypatch.setattr(owner, name, self._noting(getattr(owner, name), first=first))

    def _noting(self, real: Any, *, first: bool) -> Any:
        def noting(*args: Any) -> None:
            if first:
                self._note_flushed()
            real(*args)
            if not first:
                self._note_flushed()

        return noting

    def _note_flushed(self) -> None:
        """Note that the database is on the disk as it is now."""
        with self._noting_it:  # threads: the newest one counts
            self._flushed = {name: (self.data / name).read_bytes() for name in DATABASE}

    async def go_on(self, sftp: asyncssh.SFTPClient) -> None:
        content, path = self.dice.randbytes(self.dice.randrange(1, 3000)), self.dice.choice(NAMES)
        operation = self.dice.choice(OPERATIONS)
        if operation in ("put", "put a long file"):
            content *= 1 if operation == "put" else 1 + SHORT_FILE // len(content)
            await self.scene.put(sftp, content, path)
            self.visible[path] = content
            self.sent.append(content)
        elif operation == "put a part":
            await self.scene.put(sftp, content, "part")
            await sftp.rename("part", path)
            self.visible[path] = content
            self.sent.append(content)
        elif path in self.visible and operation == "remove":
            await sftp.remove(path)
            del self.visible[path]
        elif path in self.visible and (new := self.dice.choice(NAMES)) != path:
            await sftp.rename(path, new)
            self.visible[new] = self.visible.pop(path)
            self.sent.append(self.visible[new])
        if self.sent and len(self.sent[-1]) > SHORT_FILE:  # it landed in steps
            self._note_flushed()
        if self.dice.random() < 0.5:
            self.cut()

    def cut(self) -> None:
        data = self._folder / f"cut-{len(self.cuts)}"
        shutil.copytree(self.data, data, ignore=shutil.ignore_patterns("*-shm", "*.sock"))
        if self.dice.random() < 0.5:
            for name, content in self._flushed.items():
                (data / name).write_bytes(content)
        self.cuts.append(Cut(data, dict(self.visible), list(self.sent)))
        for number, content in self.scene.landed_files(data):
            lost = bytes(len(content))
            tenant = data / "tenants" / "acme"
            for name, kept in self.visible.items():
                if kept == content:
                    self._damage(tenant / "files" / name, content, lost, b"an older one", None)
            self._damage(tenant / "runs" / f"{number}.file", content, lost, None)

    def _damage(self, file: Path, *contents: bytes | None) -> None:
        file.unlink(missing_ok=True)
        if (content := self.dice.choice(contents)) is not None:
            file.write_bytes(content)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_all_that_had_its_ok_is_there_after_random_power_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", random.Random(seed).choice([0.002, 3600]))
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        game = Game(seed, scene, tmp_path, monkeypatch)
        for _ in range(25):
            await game.go_on(sftp)
    assert game.cuts
    for cut in game.cuts:
        stored = installation(cut.data)
        assert await scene.after_a_start(stored) == [ImportState.QUEUED] * len(cut.sent)
        found = {name: stored.visible("acme", name) for name in NAMES}
        assert {name: content for name, content in found.items() if content is not None} == cut.visible
        assert [stored.run_copy("acme", number + 1) for number in range(len(cut.sent))] == cut.sent
        assert (scene.landed_files(cut.data), stored.unfinished("acme")) == ([], [])
