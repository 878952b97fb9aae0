"""Programs that mirror a folder to `/` and remove other files: the exclusions of the owner guide work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clients import client, needs
from tests.support.peers import Rclone
from tests.support.sftp import HOST, SftpHouse, run

GUIDE = (ROOT / "docs" / "owner-guide.md").read_text(encoding="utf-8")


def advice(program: str) -> list[str]:
    """Return the words of the guide's command for `program`."""
    (line,) = re.findall(rf"^    ({program} .*FOLDER.*)$", GUIDE, re.MULTILINE)
    return shlex.split(line)


def excluding(words: list[str]) -> list[str]:
    return [word for word in words if re.search(r"^-x$|^--exclude$|results/|test/", word)]


async def mirror(house: SftpHouse, program: str, words: list[str]) -> tuple[int, str]:
    folder = str(house.work / "tree")
    words = [word.replace("FOLDER", folder) for word in words]
    if program == "lftp":
        ssh = " ".join([client("ssh"), "-a", "-x", *house.ssh_options()])
        script = f"set sftp:connect-program '{ssh}'; open -p {house.port} -u acme, sftp://{HOST}; {' '.join(words)}"
        return await run(client("lftp"), "-c", script, env={"HOME": str(house.work)})
    remote = f":sftp,host={HOST},port={house.port},user=acme,key_file={house.key_file},shell_type=none:"
    env = {"RCLONE_CONFIG": str(house.work / "rclone.conf"), "RCLONE_RETRIES": "1"}
    path = client("rclone") if program == "rclone" else Rclone.PROGRAM
    return await run(path, *(word.replace("REMOTE:", remote) for word in words[1:]), env=env)


@pytest.fixture
def tree(house: SftpHouse) -> Path:
    """The folder to mirror. The server has a report, the file of a dry run and a folder to remove."""
    tree = house.work / "tree"
    tree.mkdir()
    (tree / "sync_users.csv").write_bytes(b"first_name,last_name,email\n")
    house.publish("results/sync_users-1.json", b"{}")
    house.publish("test/sync_users.csv", b"")
    house.stored.make_folder("acme", "old")
    house.publish("old/file", b"")
    return tree


PROGRAMS = [
    pytest.param("rclone", marks=needs("rclone")),
    "rclone of PyPI",
    pytest.param("lftp", marks=needs("lftp", "ssh")),
]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_mirror_with_the_exclusions_of_the_guide_exits_with_0(
    house: SftpHouse, tree: Path, program: str
) -> None:
    words = advice("mirror" if program == "lftp" else "rclone")
    for _ in range(2):
        status, said = await mirror(house, program, words)
        assert status == 0, said
    assert house.real.events == ["arriving", "landed"]
    assert house.at("old") is None
    assert house.at("results/sync_users-1.json") is not None
    assert house.at("test/sync_users.csv") is not None


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_mirror_without_exclusions_exits_with_1_and_the_file_arrives(
    house: SftpHouse, tree: Path, program: str
) -> None:
    words = advice("mirror" if program == "lftp" else "rclone")
    left_out = excluding(words)
    assert len(left_out) == 4
    status, said = await mirror(house, program, [word for word in words if word not in left_out])
    assert status == 1, said
    assert "results" in said
    assert house.real.events == ["arriving", "landed"]
    assert house.at("results/sync_users-1.json") is not None
