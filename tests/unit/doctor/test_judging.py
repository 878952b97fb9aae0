"""The findings follow from the facts and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.doctor.facts import DiskFacts, Facts, HostKeyFacts, Numbered, TenantFacts
from server.doctor.findings import Finding, Severity, in_order, need_action, parted
from server.doctor.judging import NAMED_MOST, judge

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATA = "/data"
FOLDER = f"{DATA}/tenants/acme"
WELL = TenantFacts(
    FOLDER,
    newest_import=3,
    uploads=Numbered({3: ["uploads/3.csv"]}, 3, {1, 2, 3}),
    messages=Numbered({2: ["messages/2.jsonl"]}, 3, {1, 2, 3}),
    runs=Numbered({}, 0, set()),
)
FACTS = Facts(
    DATA,
    "headcount",
    newest="2026-03-01T11:59:00.000Z",
    tenants={"acme": WELL},
    disk=DiskFacts(None, False, 50, 100),
)


def judged(tenant: TenantFacts) -> list[Finding]:
    return judge(replace(FACTS, tenants={"acme": tenant}), NOON)


def test_a_data_folder_without_faults_has_no_findings() -> None:
    assert judge(FACTS, NOON) == []


def test_each_command_names_the_data_folder() -> None:
    why = "the folder is missing; restore it from a backup, or finish: headcount tenant remove acme --yes"
    (finding,) = judge(replace(FACTS, data_dir="/my data", tenants={"acme": replace(WELL, broken=("/x", why))}), NOON)
    assert finding.do.endswith(": headcount --data-dir '/my data' tenant remove acme --yes")
    (finding,) = judged(replace(WELL, newest_import=4))
    assert finding.do.count("headcount ") == finding.do.count(f"headcount --data-dir {DATA} ") == 2


def test_no_tenant_is_removed_if_all_folders_are_missing() -> None:
    why = "the folder is missing; finish removing the tenant: headcount tenant remove acme --yes"
    missing = TenantFacts(FOLDER, missing=True, broken=(FOLDER, why))
    (finding,) = judge(replace(FACTS, tenants={"acme": missing, "bolt": missing}), NOON)
    assert (finding.tenant, finding.file, finding.severity) == (None, f"{DATA}/tenants", Severity.ERROR)
    assert "remove" not in finding.do
    (finding,) = judge(replace(FACTS, tenants={"acme": missing, "bolt": WELL}), NOON)
    assert (finding.tenant, finding.file) == ("acme", FOLDER)


def test_a_damaged_database_of_a_removed_tenant_is_found() -> None:
    removed = {f"{DATA}/removed/acme-20250101T000000.000000Z": "users.db is damaged; move it away"}
    (finding,) = judge(replace(FACTS, removed=removed), NOON)
    assert (finding.tenant, finding.severity, finding.what) == (None, Severity.WARNING, "users.db is damaged")
    assert finding.do.endswith(f": rm -r {DATA}/removed/acme-20250101T000000.000000Z")


def test_a_reason_becomes_what_is_wrong_and_what_to_do() -> None:
    (finding,) = judged(replace(WELL, broken=(f"{FOLDER}/users.db", f"{FOLDER}/users.db is empty; restore it")))
    assert finding == Finding(
        "acme", f"{FOLDER}/users.db", Severity.ERROR, f"{FOLDER}/users.db is empty", "Restore it"
    )
    assert parted("odd")[0] == "odd"


@pytest.mark.parametrize(("behind_s", "count"), [(0, 0), (60, 0), (61, 1), (-3600, 0)])
def test_a_clock_more_than_a_minute_behind_the_data_is_found(behind_s: int, count: int) -> None:
    newest = (NOON + timedelta(seconds=behind_s)).isoformat().replace("+00:00", ".000Z")
    findings = judge(replace(FACTS, newest=newest), NOON)
    assert len(findings) == count
    assert all(newest in each.what for each in findings)


@pytest.mark.parametrize(
    ("disk", "severity"),
    [
        (DiskFacts("the disk of the server is full", False, 0, 100), Severity.ERROR),
        (DiskFacts("the disk of the server is read-only", True, 50, 100), Severity.ERROR),
        (DiskFacts(None, False, 9, 100), Severity.WARNING),
    ],
)
def test_a_disk_that_is_full_read_only_or_almost_full_is_found(disk: DiskFacts, severity: Severity) -> None:
    (finding,) = judge(replace(FACTS, disk=disk), NOON)
    assert (finding.file, finding.severity) == (DATA, severity)


def test_a_disk_with_a_tenth_free_is_fine() -> None:
    assert judge(replace(FACTS, disk=DiskFacts(None, False, 10, 100)), NOON) == []


def test_files_without_an_import_are_named_with_the_command_that_removes_them() -> None:
    uploads = Numbered({1: ["uploads/1.csv"], 2: ["uploads/2.csv"], 3: ["uploads/3.csv"]}, 3, {3})
    (finding,) = judged(replace(WELL, uploads=uploads))
    assert finding.severity is Severity.WARNING
    assert finding.what == f"2 files in {FOLDER}/uploads belong to no import that headcount.db has"
    assert finding.do.endswith(f"Remove them: rm -r {FOLDER}/uploads/1.csv {FOLDER}/uploads/2.csv")


def test_a_command_names_at_most_a_hundred_files() -> None:
    runs = Numbered({number: [f"runs/{number}.file"] for number in range(1, 500)}, 500, set())
    (finding,) = judged(replace(WELL, runs=runs))
    assert "499 files" in finding.what
    assert finding.do.count(".file") == NAMED_MOST


def test_a_headcount_db_that_lacks_an_applied_import_is_an_error() -> None:
    (finding,) = judged(replace(WELL, newest_import=4, messages=Numbered({4: ["messages/4.jsonl"]}, 3, {1, 2, 3})))
    assert (finding.file, finding.severity) == (FOLDER, Severity.ERROR)
    copied, removed, moved, added = finding.do.rpartition(": ")[2].split(" && ")
    assert copied == f"cp -a {FOLDER}/uploads {DATA}/removed/acme-uploads"
    assert removed == f"headcount --data-dir {DATA} tenant remove acme --yes"
    assert moved == f'mv "$(ls -d {DATA}/removed/acme-????????T*Z | tail -n 1)" {FOLDER}'
    assert added == f"headcount --data-dir {DATA} tenant add acme"


@pytest.mark.parametrize(
    "tenant",
    [
        replace(WELL, uploads=Numbered({4: ["uploads/4.csv"]}, 3, {1, 2, 3})),
        replace(WELL, messages=Numbered({4: ["messages/4.jsonl"]}, 3, {1, 2, 3})),
        replace(WELL, runs=Numbered({1: ["runs/1.file"]}, 0, set())),
    ],
)
def test_files_that_headcount_db_lacks_do_not_let_a_tenant_be_added_again(tenant: TenantFacts) -> None:
    (finding,) = judged(tenant)
    assert finding.severity is Severity.WARNING
    assert "headcount" not in finding.do
    assert ("Copy" in finding.do) == (tenant.messages == WELL.messages)


def test_an_older_database_is_only_a_notice() -> None:
    findings = judge(replace(FACTS, server_outdated=7, tenants={"acme": replace(WELL, outdated=5)}), NOON)
    assert [(each.tenant, each.severity) for each in findings] == [(None, Severity.NOTICE), ("acme", Severity.NOTICE)]
    assert not need_action(findings)


def test_lost_host_keys_are_found_but_not_before_the_first_start() -> None:
    lost = HostKeyFacts(lost=f"{DATA}/host_keys")
    assert [each.file for each in judge(replace(FACTS, host_keys=lost), NOON)] == [f"{DATA}/host_keys"]
    assert judge(replace(FACTS, host_keys=HostKeyFacts()), NOON) == []


@pytest.mark.parametrize(
    ("why", "do"),
    [
        ("the host key /k can be read by others (mode 0644): chmod 600 /k", "End the access of others: chmod 600 /k"),
        (
            "the host key /k cannot be read: Permission denied",
            "As root, make headcount its owner: chown headcount /k",
        ),
        (
            "/k is not a private key: move it out of the folder of host keys",
            "Move it out of the folder of host keys",
        ),
    ],
)
def test_a_refused_host_key_says_what_to_do(why: str, do: str) -> None:
    (finding,) = judge(replace(FACTS, host_keys=HostKeyFacts({"/k": why})), NOON)
    assert (finding.file, finding.do) == ("/k", do)


def test_errors_come_first_and_hide_what_follows_from_them() -> None:
    warning = Finding("acme", "/b", Severity.WARNING, "", "")
    error = Finding("acme", "/a", Severity.ERROR, "", "")
    follows = [replace(error, what="because of it"), replace(warning, file="/a/b")]
    assert in_order([warning, error, *follows], "/data") == [error, warning]
    disk = Finding(None, "/data", Severity.ERROR, "", "")
    key = Finding(None, "/data/host_keys/key", Severity.ERROR, "", "")
    assert in_order([disk, replace(disk, what="a restore has not ended"), key], "/data")[2:] == [key]
    above = replace(disk, file="/data/tenants")
    assert in_order([above, replace(error, file="/data/tenants/acme")], "/data") == [above]
    assert need_action([warning])
