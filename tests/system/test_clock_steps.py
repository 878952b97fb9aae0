"""The clock of the running server steps by a minute or a week: undo, waiting imports and mails still work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.jumping_clock import JumpingClock
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = needs("sftp")

STAFF = [f"p{number}" for number in range(20)]
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def only_clock(tmp_path_factory: pytest.TempPathFactory) -> JumpingClock:
    """The clock of all servers of this module, which so are forks of one nursery."""
    return JumpingClock(tmp_path_factory.mktemp("clock") / "clock")


@pytest.fixture
def clock(only_clock: JumpingClock) -> JumpingClock:
    """The clock of the server, which is right at first; the clock of commands and of the database stays right."""
    only_clock.be_right()
    return only_clock


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailHost]:
    with MailHost(tmp_path) as host:
        yield host


@pytest.fixture
def server(tmp_path: Path, clock: JumpingClock, mail: MailHost) -> Iterator[ServerProcess]:
    """A server with a mail server, started."""
    smtp = {"HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}", "HEADCOUNT_SMTP_FROM": "headcount@example.com"}
    smtp |= {"HEADCOUNT_HTTP_PUBLIC_URL": "https://hr.example.com"}
    with ServerProcess(tmp_path, env={**clock.env, **smtp}) as started:
        yield started


def test_undo_takes_the_newest_applied_import(server: ServerProcess, clock: JumpingClock) -> None:
    server.add_tenant("acme")
    server.put("acme", people(*STAFF))
    assert server.wait("acme")["state"] == "completed"
    steps = [timedelta(minutes=-1), -WEEK, WEEK]
    for title, step in zip("ABC", steps, strict=True):
        clock.step(step)
        server.put("acme", people(*STAFF, job_title=title))
        assert server.wait("acme")["counts"]["updated"] == 20
    ends = [server.report("acme", number)["finished_at"] for number in range(1, 5)]
    assert ends[0] > ends[1] > ends[2] < ends[3], "the clock did not step"
    for number in (4, 3, 2):
        server.cli("import", "undo", "acme")
        assert server.reaches("acme", number, "undone")
        assert server.state("acme", number - 1) == "completed"
        assert set(server.users("acme").values()) == {"active"}
    server.cli("import", "undo", "acme")
    assert server.reaches("acme", 1, "undone")
    assert set(server.users("acme").values()) == {"deactivated"}


def test_an_import_that_was_requeued_runs(server: ServerProcess, clock: JumpingClock) -> None:
    server.add_tenant("acme")
    with server.stored.writing_users("acme"):
        server.put("acme", people("ann"))
        wait_until(lambda: _says(server, " holds the "), 60, "a failed attempt")
        clock.step(-WEEK)
    assert server.reaches("acme", 1, "completed")


def test_an_import_waits_for_its_checksum_and_no_longer(server: ServerProcess, clock: JumpingClock) -> None:
    server.add_tenant("acme", require_checksum="true")
    for number, step in enumerate((-WEEK, WEEK), start=1):
        content = people("ann", job_title=f"Baker {number}")
        server.put("acme", content)
        wait_until(lambda: _says(server, "Waiting for"), 30, "the import to wait")
        planned = server.report("acme")["message"]
        clock.step(step)
        wait_until(lambda planned=planned: not _says(server, planned), 30, "the new time until which it waits")  # type: ignore[misc]
        assert server.state("acme", number) == "queued"
        line = f"{hashlib.sha256(content).hexdigest()}  sync_users.csv\n"
        server.put("acme", line.encode(), "/sync_users.csv.sha256")
        assert server.reaches("acme", number, "completed")


def test_waiting_mails_and_invitations_are_sent_exactly_once(
    server: ServerProcess, clock: JumpingClock, mail: MailHost
) -> None:
    for count, (tenant, step) in enumerate((("acme", -WEEK), ("globex", WEEK)), start=1):
        mail.go_away()
        server.add_tenant(tenant, notify_email="hr@example.com", invitations="immediately")
        server.put(tenant, people(*STAFF))
        assert server.wait(tenant)["counts"]["invitations"] == 20
        wait_until(lambda tenant=tenant: _tried(server, tenant), 30, "the first attempt of a mail and an invitation")  # type: ignore[misc]
        clock.step(step)
        mail.come_back()
        wait_until(lambda tenant=tenant: _waiting(server, tenant) == 0, 90, "all to be sent")  # type: ignore[misc]
        assert len(set(mail.ids)) == len(mail.ids) == count * 21
    assert server.stop() == 0
    assert len(mail.ids) == 2 * 21


def _says(server: ServerProcess, message: str) -> bool:
    return message in (server.report("acme")["message"] or "")


def _tried(server: ServerProcess, tenant: str) -> bool:
    mails = server.cli("notify", "list", tenant, "--json").json
    invited = any(attempts for _, attempts in server.stored.invitations(tenant))
    return bool(invited and mails and mails[0]["attempts"])


def _waiting(server: ServerProcess, tenant: str) -> int:
    mails = server.cli("notify", "list", tenant, "--json").json
    states = [*(state for state, _ in server.stored.invitations(tenant)), *(each["state"] for each in mails)]
    return states.count("waiting")
