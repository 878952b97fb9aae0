"""Everyday operations of real clients with the real listener: they work, and a file lands once."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import paramiko
import pytest

from tests.support.clients import client, needs
from tests.support.peers import Curl
from tests.support.sftp import HOST, SftpHouse, run

CONTENT = b"first_name,last_name,email\n" + b"Ada,Lovelace,ada@example.org\n" * 5_000
SHORTER = CONTENT[: len(CONTENT) // 2] + b"\n"


@pytest.fixture
def local(house: SftpHouse) -> Path:
    path = house.work / "local.csv"
    path.write_bytes(CONTENT)
    return path


def landed_whole(house: SftpHouse, content: bytes = CONTENT) -> None:
    """Check that one more upload has landed at the hook, complete, and that its record does not look cut."""
    assert house.real.events[-2:] == ["arriving", "landed"]
    assert house.visible == content
    assert house.real.kept()[-1] == content
    assert house.real.last.size == len(content)
    written = house.real.last.written
    assert written is not None
    assert not written.foreign
    assert not written.ends_full
    assert house.staged() == []


# OpenSSH


@needs("sftp")
async def test_openssh_put_lands_once(house: SftpHouse, local: Path) -> None:
    status, said = await house.sftp(f"put {local} sync_users.csv")
    assert status == 0, said
    assert house.real.events == ["arriving", "landed"]
    assert house.real.last.origin == "close"
    landed_whole(house)


@needs("sftp")
async def test_openssh_put_and_rename_lands_with_the_record_of_the_upload(house: SftpHouse, local: Path) -> None:
    status, said = await house.sftp(
        f"put {local} sync_users.csv.filepart", "rename sync_users.csv.filepart sync_users.csv"
    )
    assert status == 0, said
    assert house.real.events == ["arriving", "landed"]
    assert house.real.last.origin == "rename"
    landed_whole(house)
    assert house.at("sync_users.csv.filepart") is None


@needs("sftp")
async def test_openssh_rename_over_an_older_file_replaces_it(house: SftpHouse, local: Path) -> None:
    await house.sftp(f"put {local} sync_users.csv")
    local.write_bytes(SHORTER)
    status, said = await house.sftp(f"put {local} part", "rename part sync_users.csv")
    assert status == 0, said
    assert house.real.events == ["arriving", "landed"] * 2
    landed_whole(house, SHORTER)
    assert house.real.kept()[0] == CONTENT


@needs("sftp")
async def test_openssh_reput_completes_an_older_file_and_its_record_shows_it(house: SftpHouse, local: Path) -> None:
    (house.work / "half").write_bytes(CONTENT[:50_000])
    await house.sftp(f"put {house.work / 'half'} sync_users.csv")
    status, said = await house.sftp(f"reput {local} sync_users.csv")
    assert status == 0, said
    assert house.visible == CONTENT
    assert house.real.kept()[0] == CONTENT[:50_000]
    assert house.real.last.written is not None
    assert house.real.last.written.foreign


@needs("sftp")
async def test_openssh_sftp_can_do_its_everyday_operations(house: SftpHouse, local: Path) -> None:
    back = house.work / "back.csv"
    status, said = await house.sftp(
        "mkdir archive",
        "cd archive",
        f"put -p {local} one.csv",
        "chmod 640 one.csv",
        "rename one.csv two.csv",
        "ls -la",
        "cd ..",
        "ls -l /",
        "df -h",
        "df -i",
        "ls archive/two.csv",
        f"get -p archive/two.csv {back}",
        f"get -a archive/two.csv {back}",
        "rm archive/two.csv",
        "rmdir archive",
        "ls /results",
        "pwd",
    )
    assert status == 0, said
    assert "Remote working directory: /" in said
    assert re.search(r"archive/two\.csv", said)
    assert back.read_bytes() == CONTENT
    assert int(back.stat().st_mtime) == int(local.stat().st_mtime)
    assert house.real.events == []


@needs("sftp")
async def test_openssh_puts_and_gets_a_tree(house: SftpHouse) -> None:
    tree = house.work / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "one").write_bytes(b"1")
    (tree / "a" / "b" / "two").write_bytes(CONTENT)
    status, said = await house.sftp(f"put -R {tree}", f"get -R tree {house.work / 'back'}")
    assert status == 0, said
    assert (house.work / "back" / "a" / "b" / "two").read_bytes() == CONTENT


@needs("sftp")
async def test_openssh_puts_an_empty_file_and_it_counts(house: SftpHouse) -> None:
    empty = house.work / "empty"
    empty.touch()
    status, said = await house.sftp(f"put {empty} sync_users.csv")
    assert status == 0, said
    assert house.real.events == ["arriving", "landed"]
    assert house.real.last.size == 0


# scp


@needs("scp")
async def test_scp_lands_once_and_exits_0(house: SftpHouse, local: Path) -> None:
    status, said = await house.scp(str(local), "remote:sync_users.csv")
    assert status == 0, said
    assert house.real.events == ["arriving", "landed"]
    landed_whole(house)


@needs("scp")
async def test_scp_of_a_shorter_or_empty_file_replaces_the_longer_file_completely(
    house: SftpHouse, local: Path
) -> None:
    assert (await house.scp(str(local), "remote:sync_users.csv"))[0] == 0
    local.write_bytes(SHORTER)
    status, said = await house.scp("-p", str(local), "remote:sync_users.csv")
    assert status == 0, said
    assert house.real.events == ["arriving", "landed"] * 2
    landed_whole(house, SHORTER)
    local.write_bytes(b"")
    assert (await house.scp(str(local), "remote:sync_users.csv"))[0] == 0
    assert house.real.events == ["arriving", "landed"] * 3
    landed_whole(house, b"")


@needs("scp")
async def test_scp_fetches_files_and_folders(house: SftpHouse) -> None:
    house.publish("results/sync_users-1.json", b"{}")
    status, said = await house.scp("-r", "remote:results", str(house.work / "results"))
    assert status == 0, said
    assert (house.work / "results" / "sync_users-1.json").read_bytes() == b"{}"


@needs("scp")
async def test_the_legacy_protocol_of_scp_is_refused(house: SftpHouse, local: Path) -> None:
    status, _ = await house.scp("-O", str(local), "remote:sync_users.csv")
    assert status != 0
    assert house.real.events == []


@needs("ssh")
async def test_shells_commands_and_forwarding_are_refused(house: SftpHouse) -> None:
    ssh = [client("ssh"), *house.ssh_options(), "-p", str(house.port), "-l", "acme"]
    for extra in ([HOST, "true"], ["-T", HOST], ["-tt", HOST], ["-W", f"{HOST}:{house.port}", HOST]):
        status, said = await run(*ssh, *extra)
        assert status != 0, said
    status, said = await run(*ssh, "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:localhost:1", HOST)
    assert status != 0, said


# Others


@needs("rclone")
async def test_rclone_copies_moves_lists_and_checks(house: SftpHouse, local: Path) -> None:
    remote = f":sftp,host={HOST},port={house.port},user=acme,key_file={house.key_file},shell_type=none:"
    env = {"RCLONE_CONFIG": str(house.work / "rclone.conf"), "RCLONE_RETRIES": "1", "RCLONE_LOW_LEVEL_RETRIES": "1"}
    big = house.work / "big"
    big.write_bytes(os.urandom(3_000_000))
    for command in (
        ["copyto", str(local), f"{remote}sync_users.csv"],
        ["copyto", str(big), f"{remote}deep/er/big"],
        ["copyto", f"{remote}deep/er/big", str(house.work / "back")],
        ["lsf", f"{remote}deep/er"],
        ["check", "--download", "--include", "/big", str(house.work), f"{remote}deep/er"],
        ["moveto", f"{remote}deep/er/big", f"{remote}moved"],
        ["purge", f"{remote}deep"],
        ["about", remote],
    ):
        status, said = await run(client("rclone"), *command, env=env)
        assert status == 0, (command, said)
    assert (house.work / "back").read_bytes() == house.at("moved") == big.read_bytes()
    async with house.client() as sftp:
        assert (await sftp.stat("moved")).mtime == int(big.stat().st_mtime)
    assert house.real.events == ["arriving", "landed"]
    landed_whole(house)


@needs("lftp")
async def test_lftp_puts_resumes_mirrors_and_removes(house: SftpHouse, local: Path) -> None:
    tree = house.work / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_bytes(b"x" * 100_000)
    house.publish("resumed.csv", CONTENT[: len(CONTENT) // 2])
    ssh = " ".join([client("ssh"), "-a", "-x", *house.ssh_options()])
    script = [
        f"set sftp:connect-program '{ssh}'",
        "set net:max-retries 1; set cmd:fail-exit yes",
        f"open -p {house.port} -u acme, sftp://{HOST}",
        f"put {local} -o sync_users.csv",
        f"put -c {local} -o resumed.csv",
        f"mirror -R {tree} tree",
        f"mirror tree {house.work / 'back'}",
        "mv tree/sub/file tree/sub/moved",
        "rm tree/sub/moved",
        "rm -r tree",
        "cls -l /",
    ]
    status, said = await run(client("lftp"), "-c", "; ".join(script), env={"HOME": str(house.work)})
    assert status == 0, said
    assert house.at("resumed.csv") == CONTENT
    assert (house.work / "back" / "sub" / "file").read_bytes() == b"x" * 100_000
    assert house.at("tree") is None
    assert house.real.events == ["arriving", "landed"]
    landed_whole(house)


@needs(*Curl.NEEDS)
async def test_curl_appends(house: SftpHouse, local: Path) -> None:
    async with Curl(house) as curl:
        await curl.put(local, "sync_users.csv")
        await curl.run(*curl.base, "--append", "-T", str(local), f"{curl.url}sync_users.csv")
    assert house.visible == CONTENT * 2


async def test_paramiko_puts_gets_and_seeks(house: SftpHouse, local: Path) -> None:
    def session() -> None:
        key = paramiko.Ed25519Key.from_private_key_file(str(house.key_file))
        transport = paramiko.Transport((HOST, house.port))
        try:
            transport.connect(username="acme", pkey=key)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            sftp.put(str(local), "sync_users.csv")
            sftp.get("sync_users.csv", str(house.work / "back"))
            sftp.chmod("sync_users.csv", 0o777)
            sftp.utime("sync_users.csv", (1_000_000_000, 1_000_000_000))
            with sftp.open("other", "w") as file:
                file.write("one two three")
            with sftp.open("other", "r+") as file:
                file.seek(4)
                file.write("TWO")
            sftp.posix_rename("other", "another")
            assert sorted(sftp.listdir(".")) == ["another", "results", "sync_users.csv", "test"]
            assert sftp.normalize(".") == "/"
            assert sftp.stat("sync_users.csv").st_mtime == 1_000_000_000
            assert sftp.stat("sync_users.csv").st_mode & 0o777 == 0o600
        finally:
            transport.close()

    await asyncio.to_thread(session)
    assert (house.work / "back").read_bytes() == CONTENT
    assert house.at("another") == b"one TWO three"
    assert house.real.events == ["arriving", "landed"]
    landed_whole(house)


async def test_asyncssh_writes_several_files_at_once(house: SftpHouse) -> None:
    async with house.client() as sftp:
        files = [await sftp.open(f"file {number}", "wb") for number in range(5)]
        for number, file in enumerate(files):
            await file.write(b"%d" % number * 1000)
        assert not any("file" in name for name in await sftp.listdir())
        for file in files:
            await file.close()
        assert await asyncio.gather(*(_read(sftp, f"file {number}") for number in range(5))) == [
            b"%d" % number * 1000 for number in range(5)
        ]


async def _read(sftp: object, path: str) -> bytes:
    async with sftp.open(path, "rb") as file:  # type: ignore[attr-defined]
        content: bytes = await file.read()
        return content
