"""Third-party clients, each with its own way to put, rename and get a file.

    async with peer(house) as client:
        await client.put(local, "sync_users.csv")

The scripts in this folder drive the clients that are libraries; all take the same arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, Self

from tests.support import ROOT
from tests.support.clients import (
    CURL,
    NET_SFTP,
    NET_SFTP_FOREIGN,
    NODE,
    NODE_MODULES,
    PHPSECLIB,
    SSH2_SFTP_CLIENT,
    SSHFS,
    client,
)
from tests.support.keypairs import keypair
from tests.support.sftp import HOST, SftpHouse, run

HERE = ROOT / "tests" / "support" / "peers"


class Peer:
    """One client. If the client reports a failure, the operation raises AssertionError with the client's output."""

    NEEDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, house: SftpHouse) -> None:
        self.house = house
        self.said = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Clean up after the client."""

    async def put(self, local: Path, remote: str) -> None:
        raise NotImplementedError

    async def rename(self, old: str, new: str) -> None:
        raise NotImplementedError

    async def get(self, remote: str, local: Path) -> None:
        raise NotImplementedError

    async def run(self, *command: str, given: bytes = b"", env: dict[str, str] | None = None) -> None:
        status, said = await run(*command, given=given, env={"HOME": str(self.house.work), **(env or {})})
        self.said += said
        assert status == 0, said


class Sshfs(Peer):
    """Mounts the server's files, and uses cp and mv."""

    NEEDS = (SSHFS, "ssh")

    async def __aenter__(self) -> Self:
        house, self.mounted = self.house, self.house.work / "mounted"
        self.mounted.mkdir()
        ssh = " ".join([client("ssh"), *house.ssh_options()])
        where = ["-p", str(house.port), "-o", f"ssh_command={ssh}", f"acme@{HOST}:/", str(self.mounted)]
        await self.run(client("sshfs"), *where)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.run(client("fusermount3"), "-u", str(self.mounted))

    async def put(self, local: Path, remote: str) -> None:
        await self.run("cp", str(local), str(self.mounted / remote))

    async def rename(self, old: str, new: str) -> None:
        await self.run("mv", "-f", str(self.mounted / old), str(self.mounted / new))

    async def get(self, remote: str, local: Path) -> None:
        await self.run("cp", str(self.mounted / remote), str(local))


class Curl(Peer):
    NEEDS = (CURL,)

    async def __aenter__(self) -> Self:
        public = self.house.work / "client_key.pub"
        public.write_bytes(keypair().export_public_key())
        self.base = [client("curl"), "-sS", "-k", "-u", "acme:", "--key", str(self.house.key_file)]
        self.base += ["--pubkey", str(public)]
        self.url = f"sftp://{HOST}:{self.house.port}/"
        return self

    async def put(self, local: Path, remote: str) -> None:
        await self.run(*self.base, "-T", str(local), self.url + remote)

    async def rename(self, old: str, new: str) -> None:
        await self.run(*self.base, "-o", "/dev/null", "-Q", f"rename /{old} /{new}", self.url)

    async def get(self, remote: str, local: Path) -> None:
        await self.run(*self.base, "-o", str(local), self.url + remote)


class Psftp(Peer):
    NEEDS = ("psftp", "puttygen")

    async def __aenter__(self) -> Self:
        self.key = self.house.work / "client_key.ppk"
        await self.run(client("puttygen"), str(self.house.key_file), "-O", "private", "-o", str(self.key))
        return self

    async def _batch(self, line: str) -> None:
        known = ["-batch", "-noagent", "-hostkey", keypair(number=99).get_fingerprint()]
        port = str(self.house.port)
        await self.run(
            *(client("psftp"), *known, "-i", str(self.key), "-P", port, "-b", "/dev/stdin", f"acme@{HOST}"),
            given=f"{line}\n".encode(),
        )

    async def put(self, local: Path, remote: str) -> None:
        await self._batch(f"put {local} {remote}")

    async def rename(self, old: str, new: str) -> None:
        await self._batch(f"mv {old} {new}")

    async def get(self, remote: str, local: Path) -> None:
        await self._batch(f"get {remote} {local}")


class Rclone(Peer):
    """The rclone from PyPI, which is newer than Debian's."""

    PROGRAM: ClassVar[str] = str(Path(sys.executable).with_name("rclone"))

    async def _rclone(self, *arguments: str) -> None:
        env = {"RCLONE_CONFIG": str(self.house.work / "rclone.conf"), "RCLONE_RETRIES": "1"}
        # Without this option rclone does not send a file that looks unchanged.
        await self.run(self.PROGRAM, "--ignore-times", *arguments, env=env)

    def _remote(self, path: str) -> str:
        house = self.house
        return f":sftp,host={HOST},port={house.port},user=acme,key_file={house.key_file},shell_type=none:{path}"

    async def put(self, local: Path, remote: str) -> None:
        await self._rclone("copyto", str(local), self._remote(remote))

    async def rename(self, old: str, new: str) -> None:
        await self._rclone("moveto", self._remote(old), self._remote(new))

    async def get(self, remote: str, local: Path) -> None:
        await self._rclone("copyto", self._remote(remote), str(local))


class Script(Peer):
    """A library, driven by a script in this folder."""

    COMMAND: ClassVar[tuple[str, ...]]
    ENV: ClassVar[dict[str, str]] = {}

    async def _script(self, verb: str, source: str, target: str) -> None:
        house, (program, script) = self.house, self.COMMAND
        where = [HOST, str(house.port), str(house.key_file)]
        await self.run(program, str(HERE / script), *where, verb, source, target, env=self.ENV)

    async def put(self, local: Path, remote: str) -> None:
        await self._script("put", str(local), remote)

    async def rename(self, old: str, new: str) -> None:
        await self._script("rename", old, new)

    async def get(self, remote: str, local: Path) -> None:
        await self._script("get", remote, str(local))


class Phpseclib(Script):
    NEEDS = (PHPSECLIB,)
    COMMAND = ("php", "phpseclib.php")


class NetSftpForeign(Script):
    NEEDS = (NET_SFTP_FOREIGN, "ssh")
    COMMAND = ("perl", "net_sftp_foreign.pl")


class NetSftp(Script):
    NEEDS = (NET_SFTP,)
    COMMAND = ("ruby", "net_sftp.rb")


class Ssh2SftpClient(Script):
    NEEDS = (SSH2_SFTP_CLIENT,)
    COMMAND = (NODE, "ssh2_sftp_client.js")
    ENV: ClassVar[dict[str, str]] = {"NODE_PATH": str(ROOT / NODE_MODULES)}


class FsspecSshfs(Script):
    COMMAND = (sys.executable, "fsspec_sshfs.py")


PEERS: dict[str, type[Peer]] = {
    "sshfs": Sshfs,
    "curl": Curl,
    "psftp": Psftp,
    "phpseclib": Phpseclib,
    "Net::SFTP::Foreign": NetSftpForeign,
    "net-sftp": NetSftp,
    "ssh2-sftp-client": Ssh2SftpClient,
    "fsspec-sshfs": FsspecSshfs,
    "rclone": Rclone,
}
