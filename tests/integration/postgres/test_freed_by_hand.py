"""The lines of docs/moving.md that free a place by hand: it has no sign-ins from before then, whatever fails."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from server.moving.moving import cancel
from server.tenants.local.home import open_folder
from tests.integration.postgres.test_moved_files import database_at, folder_at, moved
from tests.integration.postgres.test_moved_marks import is_used, run_on, sign_ins_at, signed_in
from tests.support import ROOT
from tests.support.clients import POSTGRES, needs
from tests.support.keypairs import public_line
from tests.support.postgres import url_of_new
from tests.support.steps import section
from tests.support.waiting import DEADLINE_S

pytestmark = [needs(POSTGRES, "psql", "python3"), pytest.mark.only_on("sqlite", "it uses both engines")]

PAGE = section((ROOT / "docs" / "moving.md").read_text(encoding="utf-8"), "The way back")
OF_FOLDER, OF_DATABASE = re.findall(r"(?:^    .+\n)+", PAGE, re.MULTILINE)
URL = "HEADCOUNT_DATABASE_URL"
AS_THE_TEST = """
sudo() { [[ "$1 $2" == "-u headcount" ]] && shift 2 && "$@"; }
as_headcount() { "$@"; }
rm() { [[ $# == 1 && $1 == "$ROOM"/* && $1 != *..* ]] && command rm "$1"; }
"""
"""Stand in for the user of the server. Files outside of the folder ROOM are not removed."""


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """A data folder with the tenant acme, which has a session and a link."""
    place = tmp_path / "source"
    async with open_folder(place) as home:
        await home.add("acme", [public_line()])
        await signed_in(home.store)
    return place


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of the database of `database_at`."""
    return url_of_new(tmp_path)


def paste(lines: str, tmp_path: Path, **variables: str) -> int:
    """Run lines of the page as in a terminal, which goes on after a line that fails; return the exit code."""
    env = {name: value for name, value in os.environ.items() if name != URL}
    command = ["bash", "-c", AS_THE_TEST + lines]
    ran = subprocess.run(command, env={**env, "ROOM": str(tmp_path), **variables}, timeout=DEADLINE_S, check=False)
    return ran.returncode


def free_folder(tmp_path: Path, folder: Path, mark: str = "moved-to") -> int:
    lines = OF_FOLDER.replace("/var/lib/headcount", str(folder)).replace("moved-to", mark)
    return paste(lines, tmp_path)


def free_database(tmp_path: Path, url: str, mark: str = "moved-to") -> int:
    return paste(OF_DATABASE.replace("moved-to", mark), tmp_path, **{URL: url})


async def test_sources_that_are_freed_by_hand_are_used_again_without_sign_ins(
    tmp_path: Path, source: Path, url: str
) -> None:
    async with folder_at(source) as here, database_at(tmp_path) as there, folder_at(tmp_path / "one") as one:
        await moved(here, there)
        await moved(there, one)
        assert [await is_used(each) for each in (here, there, one)] == [False, False, True]
        assert (free_folder(tmp_path, source), free_database(tmp_path, url)) == (0, 0)
        assert [await is_used(each) for each in (here, there, one)] == [True, True, True]
        assert [await sign_ins_at(each) for each in (here, there, one)] == [0, 0, 2]


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
async def test_targets_that_are_freed_by_hand_are_used_again_without_sign_ins(
    tmp_path: Path, source: Path, url: str, damaged: bool
) -> None:
    """Their sign-ins may have been ended or used in the source since the cancel."""
    async with folder_at(source) as here, database_at(tmp_path) as there, folder_at(tmp_path / "one") as one:
        await moved(here, there)
        await moved(there, one)
        assert await cancel(there, one)
        assert await cancel(here, there)
        if damaged:
            (tmp_path / "one" / "moved-from").write_text("moved", encoding="utf-8")
            run_on(there, "UPDATE marks SET text = 'moved' WHERE name = 'moved-from'")
        assert [await is_used(each) for each in (there, one)] == [False, False]
        assert free_folder(tmp_path, tmp_path / "one", "moved-from") == 0
        assert free_database(tmp_path, url, "moved-from") == 0
        assert [await is_used(each) for each in (there, one)] == [True, True]
        assert [await sign_ins_at(each) for each in (there, one)] == [0, 0]


def test_a_mark_stays_in_a_folder_without_a_database_and_none_is_made(tmp_path: Path) -> None:
    """As in a folder to which no disk is mounted."""
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "moved-to").touch()
    assert free_folder(tmp_path, tmp_path / "wrong") != 0
    assert os.listdir(tmp_path / "wrong") == ["moved-to"]


async def test_a_mark_stays_in_a_database_whose_sign_ins_cannot_be_ended(
    tmp_path: Path, source: Path, url: str
) -> None:
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await moved(here, there)
        await there.marks.put("moved-to", "moved")
        run_on(there, "ALTER TABLE sign_in_links RENAME TO away")
        assert free_database(tmp_path, url) != 0
        assert not await is_used(there)


async def test_no_other_database_is_freed_in_a_shell_without_the_url(tmp_path: Path, source: Path, url: str) -> None:
    """After a move to a folder, the settings have none. psql then takes the database that its own variables name."""
    facts = conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    others = {names[name]: str(value) for name, value in facts.items()}
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await moved(here, there)
        await there.marks.put("moved-to", "moved")
        assert paste(OF_DATABASE, tmp_path, **others) != 0
        assert (await is_used(there), await sign_ins_at(there)) == (False, 2)


@pytest.mark.parametrize("line", (OF_FOLDER + OF_DATABASE).splitlines())
def test_each_line_that_frees_a_place_runs_as_the_user_of_the_server(line: str) -> None:
    """A file that root has made in the data folder could not be written by the server."""
    assert line.startswith(("    sudo -u headcount ", "    as_headcount "))


def test_the_page_deletes_no_mark_without_the_end_of_its_sign_ins() -> None:
    sentences = re.split(r"(?<=[.?:]) ", " ".join(PAGE.split()))
    deleting = [each for each in sentences if re.search(r"\bdelete\b[^.]*\bmark\b", each, re.IGNORECASE)]
    assert len(deleting) == 3
    assert all("end the sign-ins" in each for each in deleting)
