"""A restore ends the sign-ins and links of the backup, and says what it brings back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.tokens import Role
from ground.moments import utc_now
from server.backup import restoring
from server.backup.moving import RESTORING, move
from server.tenants.access.sign_ins import SignIns
from server.tenants.access.tokens import Tokens
from server.tenants.tenants import open_tenants
from tests.support.backups import brought_back, rows, saved
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

BACK = "Tenants, tokens and keys that were removed or revoked since the backup are back"

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder with a tenant, without a server."""
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    return source


@pytest.mark.parametrize("drop", [False, True])
async def test_a_restore_ends_all_sign_ins_and_links_and_keeps_the_tokens(
    source: ServerProcess, backup: Path, second: Path, drop: bool
) -> None:
    """The backup has those that were signed out, used or revoked since."""
    now = utc_now()
    async with open_tenants(source.data) as opened:
        token, secret = await Tokens(opened.store.tokens()).create("acme", Role.OWNER, email="ann@acme.example")
        sign_ins = SignIns(opened.store.sign_ins())
        session, link = await sign_ins.open(token, now), await sign_ins.make_link(token, now)
        assert session
        assert link
        saved(source.data, backup)
        await sign_ins.close(session)
    brought_back(backup, second, drop=drop)
    async with open_tenants(second) as opened:
        sign_ins = SignIns(opened.store.sign_ins())
        assert await sign_ins.find(session, now) is None
        assert await sign_ins.find_link(link, now) is None
        assert await sign_ins.open_by_link(link, now) is None
        assert await Tokens(opened.store.tokens()).find(secret, now) == token


async def test_a_restore_ends_the_sign_ins_before_the_data_can_be_used(
    source: ServerProcess, backup: Path, second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a kill after its end, the same restore would not begin again."""

    def copied_and_moved(data_dir: Path) -> None:
        shutil.copytree(data_dir / RESTORING, tmp_path / "copy")
        move(data_dir)

    monkeypatch.setattr(restoring, "move", copied_and_moved)
    async with open_tenants(source.data) as opened:
        token, _ = await Tokens(opened.store.tokens()).create("acme", Role.OWNER)
        sign_ins, now = SignIns(opened.store.sign_ins()), utc_now()
        assert await sign_ins.open(token, now)
        assert await sign_ins.make_link(token, now)
        saved(source.data, backup)
    brought_back(backup, second)
    before, ended = rows(source.data / "headcount.db"), rows(tmp_path / "copy" / "headcount.db")
    for table in ("sessions", "sign_in_links"):
        assert (len(before[table]), ended[table]) == (1, [])


def test_a_backup_from_before_there_were_sign_ins_is_restored(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    by_hand(
        source.data / "headcount.db", "DROP TABLE sessions", "DROP TABLE sign_in_links", "PRAGMA user_version = 1"
    )
    saved(source.data, backup)
    brought_back(backup, second)
    assert [row[0] for row in rows(second / "headcount.db")["tenants"]] == ["acme"]


def test_a_restore_says_what_is_back_and_how_to_find_it(source: ServerProcess, backup: Path, second: Path) -> None:
    source.cli("backup", str(backup))
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    said = source.cli("restore", str(backup)).text.splitlines()
    assert said[3] == "Ended all sign-ins and sign-in links of the backup"
    assert said[4:] == [
        f"{BACK}. To find them: headcount tenant list, headcount token list, headcount key list TENANT"
    ]
