"""Waiting imports on the real server use disk within the quota, and no memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh
import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.queues import promise
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

MANY = 400


async def queue_many(server: ServerProcess, tenant: str, content: bytes) -> None:
    """Put MANY imports of `content` into the queue of a stopped server."""
    async with server.stored.store() as store:
        for _ in range(MANY):
            await store.imports().landed(tenant, await promise(store.imports(), tenant, size=len(content)))
    server.stored.keep_copies(tenant, MANY, content)


def test_a_long_queue_takes_no_memory(tmp_path: Path) -> None:
    """The server reads the header of each file to find corrections. It once kept a megabyte of each in memory."""
    content = people(*(f"p{number}" for number in range(4000)), job_title="x" * 250)
    assert len(content) > 1024 * 1024
    server = ServerProcess(tmp_path, fresh=True)
    server.add_tenant("acme")
    asyncio.run(queue_many(server, "acme", content))
    with server:
        wait_until(lambda: server.state("acme", 2) == "unchanged", 120, "the second import")
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak_kib = int(status.split("VmHWM:")[1].split()[0])
        assert peak_kib < 250 * 1024


async def two_refused(server: ServerProcess) -> None:
    """Send one file by rename and one by CLOSE; both are refused."""
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("new.csv", "wb") as file:
            await file.write(people("cy"))
        with pytest.raises(asyncssh.SFTPError, match="2 imports wait already"):
            await sftp.posix_rename("new.csv", "sync_users.csv")
        refused = await sftp.open("sync_users.csv", "wb")
        await refused.write(people("di"))
        with pytest.raises(asyncssh.SFTPError, match="2 imports wait already"):
            await refused.close()


@needs("sftp")
def test_a_file_is_refused_with_the_reason_while_too_many_imports_wait(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        # Each waits for its checksum, at most an hour.
        server.add_tenant("acme", max_waiting_imports="2", require_checksum="true")
        for name in ("ann", "bob"):
            server.put("acme", people(name))
        asyncio.run(two_refused(server))
        assert server.stored.visible("acme", "/sync_users.csv") == people("bob")
        assert server.stored.visible("acme", "/new.csv") == people("cy")
        assert [server.state("acme", number) for number in (1, 2, 3, 4)] == ["queued", "queued", "aborted", "aborted"]
        server.cli("tenant", "set", "acme", "require_checksum=false")
        assert server.reaches("acme", 2, "completed")
        server.put("acme", people("cy"))
        assert server.reaches("acme", 5, "completed")


async def sent_until_refused(server: ServerProcess, content: bytes, most: int) -> str | None:
    """Send a file repeatedly in one session, and return the reason of a refusal, or None."""
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        for _ in range(most):
            try:
                async with sftp.open("sync_users.csv", "wb") as file:
                    await file.write(content)
            except asyncssh.SFTPError as error:
                return error.reason
    return None


def test_waiting_files_use_no_more_disk_than_the_quota(tmp_path: Path) -> None:
    content = people(*(f"p{number}" for number in range(2000)), job_title="x" * 200)
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme", quota_bytes=str(4 * len(content)), require_checksum="true")
        refused = asyncio.run(sent_until_refused(server, content, 20))
        assert refused is not None
        assert "quota exceeded" in refused
        assert 2 * len(content) <= server.stored.sent_bytes("acme") <= 4 * len(content)


def test_complete_lists_fit_in_a_quota_of_three_times_their_size(tmp_path: Path) -> None:
    content = people(*(f"p{number}" for number in range(2000)), job_title="x" * 200)
    with ServerProcess(tmp_path) as server:
        server.add_tenant(
            "acme", quota_bytes=str(3 * len(content)), deactivate_missing="true", max_waiting_imports="1"
        )
        assert asyncio.run(sent_until_refused(server, content, 20)) is None
        assert server.reaches("acme", 20, "completed", "unchanged")
