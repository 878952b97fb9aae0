"""Files sent over HTTP to the real server: a 2xx keeps its promise over any crash, and the later file wins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mortal_server import SEND_STEPS, UPLOAD_STEPS
from tests.support.server_process import ServerProcess, copied
from tests.support.site import FROM_OURS
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = needs("sftp")

OLD = people("ann", "bob")
NEW = people("ann", *(f"p{number}" for number in range(300)))
IMPORTS = "/api/v1/tenants/acme/imports"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tenant that has imported OLD, and an owner's token."""
    folder = tmp_path_factory.mktemp("prepared")
    with ServerProcess(folder) as running:
        running.add_tenant("acme")
        token = running.cli("token", "create", "acme", "--role", "owner", "--comment", "Ann").text.strip()
        (folder / "token").write_text(token)
        running.put("acme", OLD)
        assert running.wait("acme")["state"] == "completed"
        assert running.stop() == 0
    running.log.unlink()
    return folder


@pytest.fixture
def server(prepared: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """Return a server that can kill itself, not started yet."""
    server = ServerProcess(copied(prepared, tmp_path / "server"), entry="tests.support.mortal_server")
    try:
        yield server
    finally:
        server.end()


def api(server: ServerProcess) -> httpx.Client:
    token = (server.folder / "token").read_text()
    headers = {"authorization": f"Bearer {token}", "content-type": "text/csv"}
    return httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", headers=headers, timeout=DEADLINE_S)


def send(server: ServerProcess, content: bytes = NEW) -> Any:
    """Send a file over the API; return its report, None without an answer."""
    with api(server) as client:
        try:
            answer = client.post(IMPORTS, params={"dry_run": "false"}, content=content)
        except httpx.TransportError:
            return None
    assert answer.status_code == 202, answer.text
    return answer.json()


def shows(server: ServerProcess, content: bytes) -> bool:
    return server.stored.visible("acme", "/sync_users.csv") == content


def is_whole(server: ServerProcess, number: int) -> None:
    """Assert that the file of this import is the visible one, and was applied."""
    server.reaches("acme", number, "completed")
    report = server.report("acme", number)
    assert (report["counts"]["created"], report["counts"]["unchanged"], report["sent_by"]) == (300, 1, "Ann")
    assert server.result("acme", number) == report
    assert len(server.users("acme")) == 302
    assert shows(server, NEW)
    assert server.stored.unfinished("acme") == []


def is_nothing(server: ServerProcess, *numbers: int) -> None:
    """Assert that the old file stays, and that the imports after it (these) were interrupted uploads."""
    assert shows(server, OLD)
    states = {number: server.state("acme", number) for number in numbers}
    assert set(states.values()) <= {"aborted", None}
    assert not [number for number in numbers if server.stored.copy("acme", number) is not None]
    assert len(server.users("acme")) == 2
    assert server.stored.unfinished("acme") == []


@pytest.mark.parametrize("step", UPLOAD_STEPS)
def test_a_file_sent_over_the_api_is_complete_or_absent_after_a_kill(server: ServerProcess, step: str) -> None:
    server.start(HEADCOUNT_TEST_STEP=step)
    assert send(server) is None
    assert server.died() == -9
    server.start()
    if shows(server, NEW):
        is_whole(server, 2)
    else:
        is_nothing(server, 2)
        is_whole(server, send(server)["id"])


def test_a_2xx_survives_a_kill(server: ServerProcess) -> None:
    server.start()
    report = send(server)
    server.kill()
    server.start()
    is_whole(server, report["id"])


def test_a_body_that_a_kill_interrupts_lands_nothing_and_is_listed(server: ServerProcess) -> None:
    server.start()

    def half() -> Iterator[bytes]:
        yield NEW[:5000]
        wait_until(lambda: server.stored.noted("acme") == 5000, what="a part of the file to be noted")
        server.kill()
        yield NEW[5000:]

    with api(server) as client, pytest.raises(httpx.TransportError):
        client.post(IMPORTS, params={"dry_run": "false"}, content=half())
    server.start()
    is_nothing(server, 2)
    assert server.report("acme", 2)["message"].startswith("The upload was interrupted after 5,000 bytes (the server")
    is_whole(server, send(server)["id"])


def test_a_body_that_a_stop_interrupts_lands_nothing_and_is_listed(server: ServerProcess) -> None:
    server.start()

    def half() -> Iterator[bytes]:
        yield NEW[:5000]
        wait_until(lambda: any(server.stored.unfinished("acme")), what="a part of the file")
        assert server.stop() == 0
        yield NEW[5000:]

    with api(server) as client, pytest.raises(httpx.TransportError):
        client.post(IMPORTS, params={"dry_run": "false"}, content=half())
    is_nothing(server, 2)
    assert server.state("acme", 2) == "aborted"
    assert not [line for line in server.lines() if line.get("level") == "error"]
    server.start()
    is_whole(server, send(server)["id"])


@contextmanager
def browser(server: ServerProcess) -> Iterator[httpx.Client]:
    """Yield a client that is signed in to the pages."""
    url, token = f"http://127.0.0.1:{server.http_port}", (server.folder / "token").read_text()
    with httpx.Client(base_url=url, headers=FROM_OURS, timeout=DEADLINE_S) as client:
        assert client.post("/sign-in", data={"token": token}).status_code == 303
        yield client


def a_test(server: ServerProcess) -> int:
    """Test NEW on the page; return the id of its dry run."""
    with browser(server) as client:
        answer = client.post("/tenants/acme/try", files={"file": ("march.csv", NEW, "text/csv")})
        assert answer.status_code == 303, answer.text
    number = int(answer.headers["location"].partition("?")[0].rpartition("/")[2])
    server.reaches("acme", number, "completed")
    return number


def click(server: ServerProcess, number: int) -> httpx.Response | None:
    """Send the file of a test; None without an answer."""
    with browser(server) as client:
        try:
            return client.post(f"/tenants/acme/imports/{number}/send")
        except httpx.TransportError:
            return None


@pytest.mark.parametrize("step", SEND_STEPS)
def test_a_tested_file_is_complete_or_absent_after_a_kill(server: ServerProcess, step: str) -> None:
    server.start(HEADCOUNT_TEST_STEP=step)
    assert click(server, a_test(server)) is None
    assert server.died() == -9
    server.start()
    again = click(server, 2)
    assert again is not None
    if shows(server, NEW):
        assert again.status_code == 303, again.text
        number = int(again.headers["location"].removeprefix("/tenants/acme/imports/"))
        is_whole(server, number)
        # A database keeps the tested file: it can be sent again after an upload that was interrupted.
        assert {server.state("acme", each) for each in range(3, number)} <= {"aborted", None}
    else:  # a start keeps no tested file
        assert (again.status_code, "Test the file again." in again.text) == (409, True)
        is_nothing(server, 3)
        assert server.stored.copy("acme", 2) is None
        sent = click(server, a_test(server))
        assert sent is not None
        assert sent.status_code == 303
        newest = int(sent.headers["location"].partition("?")[0].rpartition("/")[2])
        is_whole(server, newest)


def test_a_stop_leaves_no_tested_file(server: ServerProcess) -> None:
    server.start()
    number = a_test(server)
    assert server.stored.copy("acme", number) is not None
    assert server.stop() == 0
    assert server.stored.copy("acme", number) is None
    server.start()
    again = click(server, number)
    assert again is not None
    assert (again.status_code, "Test the file again." in again.text) == (409, True)


async def test_the_later_of_two_files_sent_over_http_and_sftp_at_once_wins(server: ServerProcess) -> None:
    server.start()
    settings = ("deactivate_missing=true", "max_deactivations_percent=100", "detect_truncation=false")
    server.cli("tenant", "set", "acme", *settings)
    token = (server.folder / "token").read_text()
    headers = {"authorization": f"Bearer {token}", "content-type": "text/csv"}
    url, content = f"http://127.0.0.1:{server.http_port}", {}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE_S) as client,
        server.connect("acme") as connection,
        connection.start_sftp_client() as sftp,
    ):
        for turn in range(8):
            ours, theirs = people("ann", f"http{turn}"), people("ann", f"sftp{turn}")
            answer, _ = await asyncio.gather(
                client.post(IMPORTS, params={"dry_run": "false"}, content=ours), _put(sftp, theirs)
            )
            assert answer.status_code == 202, answer.text
            by_http = answer.json()["id"]
            content[by_http] = ours
            content[next(each for each in (2 * turn + 2, 2 * turn + 3) if each != by_http)] = theirs
            assert shows(server, content[2 * turn + 3])
    newest = 2 * 8 + 1
    server.reaches("acme", newest, "completed")
    assert {server.state("acme", number) for number in content} <= {"completed", "superseded"}
    last = content[newest].decode().splitlines()[-1].split(",")[2]
    active = {email for email, state in server.users("acme").items() if state == "active"}
    assert active == {"ann@example.com", last}
    assert shows(server, content[newest])


async def _put(sftp: asyncssh.SFTPClient, content: bytes) -> None:
    async with sftp.open("/sync_users.csv", "wb") as file:
        await file.write(content)


def test_files_over_http_are_counted_as_uploads(server: ServerProcess) -> None:
    server.start()
    assert send(server)

    def cut() -> Iterator[bytes]:
        yield NEW[:100]
        raise OSError("the cable was pulled")

    with api(server) as client, pytest.raises(OSError, match="cable"):
        client.post(IMPORTS, params={"dry_run": "false"}, content=cut())
    server.cli("tenant", "set", "acme", "max_file_bytes=10")
    with api(server) as client:
        wait_until(lambda: client.post(IMPORTS, params={"dry_run": "false"}, content=NEW).status_code == 413)

    def counted() -> dict[str, float]:
        lines = server.get("/metrics").text.splitlines()
        found = (line for line in lines if line.startswith("headcount_uploads_total{") and '"acme"' in line)
        return {line.split('result="')[1].split('"')[0]: float(line.split()[-1]) for line in found}

    wait_until(lambda: counted() == {"completed": 1, "aborted": 2}, what=f"these counts, not {counted()}")
    queued = [line for line in server.lines() if line["event"] == "import_queued"]
    assert [line["origin"] for line in queued] == ["http"]
