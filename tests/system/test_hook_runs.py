"""Files at the paths of hooks: the real server, OpenSSH's client, hooks in a module, and a command."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import ROOT
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = needs("sftp")

MODULE = """
import asyncio, os, time
from pathlib import Path
from headcount import Delivery, Message, Refuse, Result, Retry, Upload, hook

NOTES = Path(os.environ["NOTES"])


def note(delivery):
    with NOTES.open("a") as notes:
        notes.write(f"{delivery.tenant} {delivery.path} {delivery.attempt} {os.getpid()}\\n")


@hook("/invoices/*.csv", name="invoices")
def invoices(delivery: Delivery) -> Result:
    note(delivery)
    with delivery.open() as file:
        lines = file.read().decode().splitlines()
    if lines == ["wait"] and delivery.attempt == 1:
        time.sleep(3600)
    if lines == ["raise"]:
        raise KeyError(lines[0] * 2)
    delivery.report("lines.txt", f"{len(lines)}\\n".encode())
    wrong = [Message("error", "No number.", line=at) for at, line in enumerate(lines, 1) if not line.isdigit()]
    return Result(f"{len(lines)} invoices.", {"invoices": len(lines)}, wrong)


def check(upload: Upload) -> None:
    with upload.open() as file:
        if b"virus" in file.read():
            raise Refuse("The file has a virus.")


@hook("/scans/*", name="scans", accept=check)
async def scans(delivery: Delivery) -> None:
    note(delivery)
    if delivery.open().read() == b"wait" and delivery.attempt == 1:
        await asyncio.sleep(3600)
    if delivery.open().read() == b"later" and delivery.attempt == 1:
        raise Retry(0.1, "The bank is closed.")
"""

COMMANDS = """
[[hooks]]
name = "orders"
path = "/orders/*.xml"
command = ["{python}", "-c", "import os, sys; os.path.exists('{shut}') and sys.exit(3); print(len(sys.stdin.read()))"]
"""


class Company:
    """The server with these hooks, and a tenant `acme`."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        (folder / "hooks_of_acme.py").write_text(MODULE)
        self.shut = folder / "shut"
        (folder / "hooks.toml").write_text(COMMANDS.format(python=sys.executable, shut=self.shut))
        paths = f"{ROOT}{os.pathsep}{folder}"
        given = {
            "PYTHONPATH": paths,
            "NOTES": str(self.notes),
            "HEADCOUNT_HOOKS": "hooks_of_acme",
            "HEADCOUNT_HOOKS_FILE": str(folder / "hooks.toml"),
        }
        self.server = ServerProcess(folder, env=given | env)

    def runs(self, tenant: str = "acme") -> list[dict[str, Any]]:
        """Return the runs as they are stored, oldest first."""
        return self.server.runs(tenant)

    def reaches(self, run_id: int, *states: str, tenant: str = "acme") -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            return next((run for run in self.runs(tenant) if run["id"] == run_id and run["state"] in states), None)

        found = wait_until(there, what=f"run {run_id} to be {states}: {self.runs(tenant)}")
        assert found
        return found

    def delivered(self) -> list[tuple[str, int]]:
        """Return path and attempt of each delivery, in order."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [(line.split()[1], int(line.split()[2])) for line in lines]

    def result(self, name: str, tenant: str = "acme") -> Any:
        return json.loads(self.server.stored.visible(tenant, f"/results/{name}") or b"")


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailHost]:
    with MailHost(tmp_path) as host:
        yield host


@pytest.fixture
def company(tmp_path: Path, mail: MailHost) -> Iterator[Company]:
    made = Company(
        tmp_path,
        HEADCOUNT_SMTP_URL=f"smtp://127.0.0.1:{mail.port}",
        HEADCOUNT_SMTP_FROM="headcount@example.com",
        HEADCOUNT_HTTP_PUBLIC_URL="https://hr.example.com",
    )
    with made.server as server:
        server.add_tenant("acme")
        yield made


def test_a_file_at_the_path_of_a_hook_is_processed_and_reported(company: Company, tmp_path: Path) -> None:
    server = company.server
    server.put("acme", b"1\n2\nx\n", "/invoices/march.csv")
    run = company.reaches(1, "completed_with_errors")
    assert run["sha256"]
    report, lines = tmp_path / "report.json", tmp_path / "lines.txt"
    done = server.sftp(
        "acme", f'get /results/invoices-1.json "{report}"', f'get /results/invoices-1.lines.txt "{lines}"'
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(report.read_text())
    assert (shown["hook"], shown["path"], shown["attempt"]) == ("invoices", "/invoices/march.csv", 1)
    assert (shown["message"], shown["counts"]) == ("3 invoices.", {"invoices": 3})
    assert [(each["line"], each["message"]) for each in shown["messages"]] == [(3, "No number.")]
    assert lines.read_text() == "3\n"
    assert company.delivered() == [("/invoices/march.csv", 1)]
    counted = 'headcount_hook_runs_total{hook="invoices",state="completed_with_errors",tenant="acme"} 1.0'
    wait_until(lambda: counted in server.get("/metrics").text, what="the run to be counted, after its end")
    assert server.get("/readyz").json()["hooks"] is True


def test_hooks_of_every_kind_run_beside_imports(company: Company) -> None:
    server = company.server
    server.put("acme", b"12345", "/orders/a.xml")
    server.put("acme", b"later", "/scans/page.pdf")
    server.put("acme", people("ann"))
    assert server.wait("acme")["state"] == "completed"
    assert company.reaches(1, "completed")["message"] == "5"
    assert company.reaches(2, "completed")["attempts"] == 2
    assert company.delivered() == [("/scans/page.pdf", 1), ("/scans/page.pdf", 2)]


def test_files_of_one_hook_are_delivered_in_order(company: Company) -> None:
    names = [f"{number:02}.csv" for number in range(20)]
    local = company.folder / "one.csv"
    local.write_text("1\n")
    done = company.server.sftp("acme", *(f'put "{local}" "/invoices/{name}"' for name in names))
    assert done.returncode == 0, done.stderr
    company.reaches(len(names), "completed")
    assert company.delivered() == [(f"/invoices/{name}", 1) for name in names]


def test_a_refused_file_does_not_replace_the_old_one_and_is_listed(company: Company) -> None:
    server = company.server
    server.put("acme", b"fine", "/scans/page.pdf")
    local = company.folder / "bad"
    local.write_bytes(b"a virus")
    assert server.sftp("acme", f'put "{local}" /scans/page.pdf').returncode != 0
    assert server.stored.visible("acme", "/scans/page.pdf") == b"fine"
    refused = company.reaches(2, "aborted")
    assert refused["message"] == "The file has a virus."
    assert company.result("scans-2.json")["message"] == "The file has a virus."
    company.reaches(1, "completed")
    assert company.delivered() == [("/scans/page.pdf", 1)]


def test_a_failed_attempt_is_said_without_the_text_of_the_exception(company: Company) -> None:
    company.server.put("acme", b"raise\n", "/invoices/a.csv")
    run = wait_until(lambda: next((run for run in company.runs() if run["error"]), None))
    assert run
    assert (run["state"], run["attempts"], run["error"]) == ("queued", 1, "KeyError: 'raiseraise'")
    assert "raiseraise" not in run["message"]
    assert "raiseraise" not in company.server.log.read_text()


def test_a_failed_run_is_run_again_by_command_and_over_the_api(company: Company) -> None:
    server = company.server
    company.shut.touch()
    server.put("acme", b"123", "/orders/a.xml")
    assert "3" in company.reaches(1, "failed")["error"]
    assert server.cli("hook", "runs", "acme", "--json").json[0]["state"] == "failed"
    server.cli("hook", "rerun", "acme", "1")
    wait_until(lambda: server.events().count("run_ended") == 2)
    company.shut.unlink()
    owner = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    answer = httpx.post(
        f"http://127.0.0.1:{server.http_port}/api/v1/tenants/acme/runs/1/rerun",
        headers={"Authorization": f"Bearer {owner}"},
        timeout=30,
    )
    assert answer.status_code == 202, answer.text
    assert company.reaches(1, "completed")["attempts"] == 1
    shown = server.get("/api/v1/tenants/acme/runs/1", Authorization=f"Bearer {owner}").json()
    assert shown == company.result("orders-1.json")


def test_files_of_failed_runs_are_deleted_above_kept_bytes(company: Company) -> None:
    server = company.server
    server.cli("tenant", "set", "acme", "kept_bytes=0")
    company.shut.touch()
    for number in (1, 2):
        server.put("acme", b"123", "/orders/a.xml")
        company.reaches(number, "failed")
    wait_until(lambda: server.stored.run_copy("acme", 1) is None)
    assert server.stored.run_copy("acme", 2), "it is the file in the folder of the tenant"


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
def test_runs_of_a_broken_tenant_wait_in_silence(company: Company) -> None:
    server = company.server
    server.add_tenant("globex")
    server.put("acme", b"raise\n", "/invoices/a.csv")
    wait_until(lambda: company.runs()[0]["error"])
    users_db, aside = server.files("acme").users_db, company.folder / "users.db"
    users_db.rename(aside)
    users_db.write_bytes(b"not a database")
    wait_until(lambda: server.sftp("acme", "ls").returncode != 0, what="logins to be refused")
    wait_until(lambda: "tenant_broken" in server.events())
    wait_until(lambda: time.time() > company.runs()[0]["not_before"])
    for number in (1, 2):
        server.put("globex", b"fine", "/scans/page.pdf")
        company.reaches(number, "completed", tenant="globex")
    assert "run_left" not in server.events()
    users_db.unlink()
    aside.rename(users_db)
    wait_until(lambda: company.runs()[0]["attempts"] == 2)


def test_a_module_that_cannot_be_imported_refuses_uploads_at_its_paths(company: Company) -> None:
    server = company.server
    assert server.stop() == 0
    (company.folder / "hooks_of_acme.py").write_text("import something_that_is_missing\n")
    server.start()
    ready = server.get("/readyz")
    assert (ready.status_code, ready.json()["hooks_broken"]) == (200, 2)
    local = company.folder / "a.csv"
    local.write_text("1\n")
    assert server.sftp("acme", f'put "{local}" /invoices/a.csv').returncode != 0
    assert "Tell the operator" in company.reaches(1, "aborted")["message"]
    server.put("acme", b"123", "/orders/a.xml")
    company.reaches(2, "completed")


def test_a_company_gets_a_mail_about_a_file_with_errors_alone(company: Company, mail: MailHost) -> None:
    company.server.cli("tenant", "set", "acme", "notify_email=hr@example.com")
    company.server.put("acme", b"1\n", "/invoices/a.csv")
    company.reaches(1, "completed")
    company.server.put("acme", b"one\n", "/invoices/b.csv")
    wait_until(lambda: mail.mails)
    body = mail.mails[0].get_body(("plain",))
    assert body
    text = body.get_content()
    assert "The file b.csv of acme was processed, and its errors must be fixed. 1 invoices." in " ".join(text.split())
    assert "https://hr.example.com/tenants/acme/files/2" in text


@pytest.mark.parametrize("path", ["/invoices/a.csv", "/scans/a"])
def test_a_server_killed_while_a_hook_runs_delivers_the_file_again(company: Company, path: str) -> None:
    server = company.server
    server.put("acme", b"wait", path)
    wait_until(company.delivered)
    server.kill()
    assert server.stored.run_copy("acme", 1) == b"wait"
    server.start()
    assert company.reaches(1, "completed", "completed_with_errors")["attempts"] == 2
    assert company.delivered() == [(path, 1), (path, 2)]


@pytest.mark.parametrize("path", ["/invoices/a.csv", "/scans/a"])
def test_a_stop_ends_a_hook_that_waits_without_counting_the_attempt(company: Company, path: str) -> None:
    server = company.server
    server.put("acme", b"wait", path)
    wait_until(company.delivered)
    pid = int(company.notes.read_text().split()[3])
    assert server.process
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in server.events())
    assert server.stop() == 0
    run = company.runs()[0]
    assert (run["state"], run["attempts"]) == ("queued", 0)
    assert not Path(f"/proc/{pid}").exists()
    server.stored.keep_run_copy("acme", 1, b"1\n")
    server.start()
    assert company.reaches(1, "completed")["attempts"] == 1


def test_a_hook_that_is_off_for_a_company_leaves_its_files_alone(company: Company) -> None:
    server = company.server
    done = server.command("tenant", "set", "acme", "hooks=invoices")
    assert done.returncode == 0, done.stderr
    server.add_tenant("globex")
    assert server.sftp("globex", "ls /scans").returncode == 0
    assert server.sftp("acme", "ls /scans").returncode != 0
    assert server.sftp("acme", "mkdir /scans").returncode == 0
    server.put("globex", b"fine", "/scans/page.pdf")
    company.reaches(1, "completed", tenant="globex")
    server.put("acme", b"a virus", "/scans/page.pdf")
    server.put("acme", b"1\n", "/invoices/a.csv")
    assert company.reaches(1, "completed")["hook"] == "invoices"
    assert [run["hook"] for run in company.runs()] == ["invoices"]
