"""A file uploaded over SFTP becomes users: the real server, OpenSSH's client and the command line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import needs
from tests.support.importing import people, sheet
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = needs("sftp")

TWENTY = [f"p{number}" for number in range(20)]
NAMES = (f"tenant-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start one server for all of these tests; each has its own tenant."""
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
def tenant(server: ServerProcess) -> str:
    name = next(NAMES)
    server.add_tenant(name)
    return name


@pytest.fixture
def complete(server: ServerProcess) -> str:
    """Add a tenant with complete lists and twenty users."""
    name = next(NAMES)
    server.add_tenant(name, deactivate_missing="true")
    server.put(name, people(*TWENTY))
    assert server.wait(name)["state"] == "completed"
    return name


def addresses(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


def active(server: ServerProcess, tenant: str) -> set[str]:
    return {email for email, state in server.users(tenant).items() if state == "active"}


def test_an_upload_is_imported_and_reported(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, people("ann", "bob"))
    report = server.wait(tenant)
    assert (report["id"], report["tenant"], report["state"]) == (1, tenant, "completed")
    assert (report["file"]["rows"], report["counts"]["created"]) == (2, 2)
    assert report["uploaded_at"] <= report["started_at"] <= report["finished_at"]
    assert active(server, tenant) == addresses("ann", "bob")
    assert server.result(tenant, 1) == report


def test_the_report_and_the_rejected_rows_can_be_fetched_over_sftp(
    server: ServerProcess, tenant: str, tmp_path: Path
) -> None:
    server.put(tenant, sheet(("Ann", "Smith", "ann@example.com"), ("Bob", "Smith", "nonsense")))
    assert server.wait(tenant)["state"] == "completed_with_errors"
    fetched = server.sftp(tenant, f'get /results/* "{tmp_path}"')
    assert fetched.returncode == 0, fetched.stderr
    assert "completed_with_errors" in (tmp_path / "sync_users-1.json").read_text()
    assert "nonsense" in (tmp_path / "sync_users-1.errors.csv").read_text(encoding="utf-8-sig")


def test_a_correction_file_deactivates_no_absent_user(server: ServerProcess, complete: str) -> None:
    server.put(complete, people(*TWENTY) + b"Bob,Smith,nonsense\n")
    assert server.wait(complete)["state"] == "completed_with_errors"
    rejected = server.stored.visible(complete, "/results/sync_users-2.errors.csv")
    assert rejected
    server.put(complete, rejected.replace(b"nonsense", b"bob@example.com"))
    report = server.wait(complete)
    assert (report["state"], report["counts"]["created"], report["counts"]["deactivated"]) == ("completed", 1, 0)
    assert active(server, complete) == addresses(*TWENTY, "bob")


def test_a_complete_list_deactivates_absent_users(server: ServerProcess, complete: str) -> None:
    server.put(complete, people(*TWENTY[1:]))
    report = server.wait(complete)
    assert (report["state"], report["counts"]["deactivated_absent"]) == ("completed", 1)
    assert active(server, complete) == addresses(*TWENTY[1:])


def test_an_import_over_the_deactivation_limit_is_held_and_changes_no_user(
    server: ServerProcess, complete: str
) -> None:
    server.put(complete, people("p0", "p19"))
    report = server.wait(complete)
    assert report["state"] == "held"
    assert report["guard"]["would_deactivate"] == report["counts"]["deactivated"] == 18
    assert "too_many_deactivations" in report["guard"]["reasons"]
    assert active(server, complete) == addresses(*TWENTY)
    assert server.result(complete, 2)["state"] == "held"


def test_a_held_import_runs_when_it_is_approved(server: ServerProcess, complete: str) -> None:
    server.put(complete, people("p0", "p19"))
    server.reaches(complete, 2, "held")
    approved = server.command("import", "approve", complete, "--json")
    assert approved.returncode == 0, approved.stderr
    report = json.loads(approved.stdout)
    assert (report["state"], report["decided_by"]) == ("completed", "operator")
    assert active(server, complete) == addresses("p0", "p19")
    assert server.result(complete, 2) == report


def test_a_held_import_that_is_discarded_never_runs(server: ServerProcess, complete: str) -> None:
    server.put(complete, people("p0", "p19"))
    server.reaches(complete, 2, "held")
    discarded = server.cli("import", "discard", complete, "--json").json
    assert (discarded["state"], discarded["decided_by"]) == ("discarded", "operator")
    wait_until(lambda: server.result(complete, 2)["state"] == "discarded")
    assert active(server, complete) == addresses(*TWENTY)
    refused = server.cli("import", "approve", complete, check=False)
    assert refused.code == 1
    assert "only a held import can be approved" in refused.err


def test_a_newer_file_replaces_a_held_import(server: ServerProcess, complete: str) -> None:
    server.put(complete, people("p0", "p19"))
    server.reaches(complete, 2, "held")
    server.put(complete, people(*TWENTY))
    assert server.wait(complete)["state"] == "unchanged"
    assert server.state(complete, 2) == "superseded"
    assert server.result(complete, 2)["state"] == "superseded"


def test_only_the_newest_of_waiting_complete_lists_runs(server: ServerProcess, complete: str) -> None:
    with server.stored.writing_users(complete):
        server.put(complete, people(*TWENTY[1:]))
        server.reaches(complete, 2, "running")
        server.put(complete, people(*TWENTY[2:]))
        server.put(complete, people(*TWENTY))
    assert server.wait(complete, 4)["counts"]["reactivated"] == 1
    assert [server.state(complete, number) for number in (2, 3, 4)] == ["completed", "superseded", "completed"]
    superseded = server.result(complete, 3)
    assert superseded["state"] == "superseded"
    assert "import 4" in superseded["message"]
    assert active(server, complete) == addresses(*TWENTY)


def test_a_dry_run_reports_what_would_happen_and_changes_nothing(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, people("ann", "bob"), "/test/sync_users.csv")
    report = server.wait(tenant, 1)
    assert (report["state"], report["dry_run"], report["counts"]["created"]) == ("completed", True, 2)
    assert server.users(tenant) == {}
    assert server.result(tenant, 1) == report
    wait_until(lambda: server.stored.copy(tenant, 1) is None, what="the copy to be deleted")


def test_lists_of_changes_all_run_in_the_order_of_upload(server: ServerProcess, tenant: str) -> None:
    for number in range(5):
        server.put(tenant, people("ann", job_title=f"Title {number}"))
    reports = [server.wait(tenant, number) for number in range(1, 6)]
    assert [report["state"] for report in reports] == ["completed"] * 5
    starts = [report["started_at"] for report in reports]
    assert starts == sorted(starts)


def test_a_file_uploaded_under_another_name_and_renamed_is_imported_once(server: ServerProcess, tenant: str) -> None:
    local = server.folder / "renamed.csv"
    local.write_bytes(people("ann"))
    done = server.sftp(
        tenant, f'put "{local}" /sync_users.csv.filepart', "rename /sync_users.csv.filepart /sync_users.csv"
    )
    assert done.returncode == 0, done.stderr
    assert server.wait(tenant)["state"] == "completed"
    assert [one["state"] for one in server.cli("import", "list", tenant, "--json").json] == ["completed"]


def test_an_upload_under_a_similar_name_is_listed_with_the_reason(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, people("ann"), "/Sync_Users.csv")
    server.reaches(tenant, 1, "ignored")
    report = server.report(tenant, 1)
    assert "/sync_users.csv" in report["message"]
    assert server.result(tenant, 1) == report
    assert server.cli("import", "show", tenant, check=False).code == 1


async def test_an_interrupted_upload_is_listed_and_imports_nothing(server: ServerProcess, tenant: str) -> None:
    async with server.connect(tenant) as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        connection.abort()
    server.reaches(tenant, 1, "aborted")
    report = server.report(tenant, 1)
    assert report["file"]["size"] == len(people("ann"))
    assert server.users(tenant) == {}
    assert server.stored.visible(tenant, "/sync_users.csv") is None


def test_a_file_without_a_required_column_fails_and_names_it(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, b"first_name,last_name\nAnn,Smith\n")
    waited = server.cli("import", "wait", tenant, "--json", check=False)
    assert (waited.code, waited.json["state"]) == (1, "failed")
    assert "email" in waited.json["message"]


def test_tenants_cannot_see_each_other(server: ServerProcess) -> None:
    ours, theirs = next(NAMES), next(NAMES)
    for name, person in ((ours, "ann"), (theirs, "bob")):
        server.add_tenant(name, deactivate_missing="true")
        server.put(name, people(person))
    assert [server.wait(name)["state"] for name in (ours, theirs)] == ["completed", "completed"]
    assert server.users(ours) == {"ann@example.com": "active"}
    assert server.users(theirs) == {"bob@example.com": "active"}
    listed = server.sftp(ours, "ls -la /", "ls -la /..", "ls -la /results").stdout
    assert theirs not in listed
    assert server.sftp(ours, f"ls /../{theirs}").returncode != 0
    reports = server.cli("import", "list", ours, "--json").json
    assert {report["tenant"] for report in reports} == {ours}
    assert theirs not in str(reports)


def test_metrics_count_imports_rows_users_and_uploads(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, people("ann", "bob"))
    server.wait(tenant)
    server.put(tenant, people("ann"), "/test/sync_users.csv")
    server.wait(tenant, 2)
    expected = {
        f'headcount_imports_total{{state="completed",tenant="{tenant}"}} 1.0',
        f'headcount_import_rows_total{{outcome="created",tenant="{tenant}"}} 2.0',
        f'headcount_users{{state="active",tenant="{tenant}"}} 2.0',
        f'headcount_uploads_total{{result="completed",tenant="{tenant}"}} 2.0',
    }
    wait_until(lambda: expected <= set(server.get("/metrics").text.splitlines()), what="the metrics")


def test_a_removed_tenant_is_not_in_the_metrics(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, people("ann"))
    server.wait(tenant)
    server.cli("tenant", "remove", tenant, "--yes")
    users = f'headcount_users{{state="active",tenant="{tenant}"}}'
    wait_until(lambda: users not in server.get("/metrics").text, what="the metrics of the tenant to end")
    assert server.cli("import", "list", tenant, check=False).code == 1
