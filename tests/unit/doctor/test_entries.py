"""An entry of the data folder is judged by its kind, owner and mode."""

from __future__ import annotations

import pytest

from server.doctor.entries import Fault, Kind, Seen, entry_findings, fault_of, is_own, is_written
from server.doctor.findings import Finding, Severity

OWNER = 1000
DATA = "/var/lib/headcount"


def seen(
    path: str = "tenants/acme/users.db",
    kind: Kind = Kind.FILE,
    mode: int = 0o600,
    owner: int = OWNER,
    *,
    usable: bool = True,
    reachable: bool = True,
    target: str | None = None,
) -> Seen:
    return Seen(path, kind, mode, owner, usable=usable, reachable=reachable, target=target)


def found(*entries: Seen) -> list[Finding]:
    faulty = [(each, fault) for each in entries if (fault := fault_of(each, OWNER))]
    return entry_findings(faulty, DATA, "headcount", {0: "root"})


def test_an_entry_as_headcount_makes_it_has_no_fault() -> None:
    assert fault_of(seen(), OWNER) is None
    assert fault_of(seen("tenants", Kind.FOLDER, 0o700), OWNER) is None
    assert fault_of(seen("host_keys/ssh_host_ed25519_key.pub", mode=0o644), OWNER) is None


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (seen(owner=0), Fault.FOREIGN),
        (seen(owner=0, usable=False), Fault.FOREIGN),
        (seen(mode=0o400, usable=False), Fault.SHUT),
        (seen(mode=0o640), Fault.EXPOSED),
        (seen("tenants", Kind.FOLDER, 0o711), Fault.EXPOSED),
        (seen(kind=Kind.LINK, mode=0o777), Fault.LINKED),
        (seen(kind=Kind.OTHER), Fault.SPECIAL),
    ],
)
def test_each_fault_of_an_entry_is_found(entry: Seen, fault: Fault) -> None:
    assert fault_of(entry, OWNER) is fault


def test_a_mode_below_a_folder_that_others_cannot_open_is_fine() -> None:
    assert fault_of(seen(mode=0o644, reachable=False), OWNER) is None


def test_one_finding_names_all_entries_of_a_tenant_with_another_owner() -> None:
    other = [seen(f"tenants/acme/{name}", owner=0) for name in ("keys.json", "users.db", "users.db-wal")]
    (finding,) = found(*other)
    assert (finding.tenant, finding.file) == ("acme", f"{DATA}/tenants/acme/keys.json")
    assert finding.severity is Severity.WARNING
    assert finding.what.endswith("belongs to the user root, not to headcount; the same holds for 2 other entries")
    assert finding.do.endswith(f": chown -R headcount {DATA}/tenants/acme")


def test_an_entry_of_another_owner_that_cannot_be_used_is_an_error() -> None:
    (finding,) = found(seen(owner=4711, usable=False))
    assert finding.severity is Severity.ERROR
    assert "the user #4711" in finding.what


def test_an_entry_without_access_for_its_owner_says_how_to_give_it() -> None:
    (finding,) = found(seen("headcount.db", mode=0o400, usable=False))
    assert (finding.tenant, finding.severity) == (None, Severity.ERROR)
    assert finding.do.endswith(f": chmod -R u+rwX {DATA}/headcount.*")


def test_a_link_is_replaced_by_a_copy_but_removed_among_the_files_of_a_client() -> None:
    whole = seen("tenants/acme", Kind.LINK, target="/mnt/big disk/acme")
    inside = seen("tenants/acme/files/passwd", Kind.LINK, target="/etc/passwd")
    lost = seen("tenants/bolt", Kind.LINK)
    assert [each.do.rpartition(": ")[2] for each in found(whole, inside, lost)] == [
        f"rm {DATA}/tenants/acme && cp -a '/mnt/big disk/acme' {DATA}/tenants/acme",
        f"rm {DATA}/tenants/acme/files/passwd",
        f"rm {DATA}/tenants/bolt",
    ]


@pytest.mark.parametrize(
    "path", ["headcount.db", "headcount.db-wal", "tenants/acme", "host_keys", "removed", "digests"]
)
def test_what_headcount_makes_is_checked(path: str) -> None:
    assert is_own(path)


@pytest.mark.parametrize("path", ["lost+found", "hooks.toml", ".restoring", "headcount.toml"])
def test_what_the_operator_put_there_is_not_checked(path: str) -> None:
    assert not is_own(path)


def test_the_files_of_clients_need_only_be_readable() -> None:
    assert is_written("tenants/acme/users.db")
    assert is_written("tenants/acme/messages/1.jsonl")
    assert not is_written("tenants/acme/files/inbox/a.csv")
    assert not is_written("tenants/acme/uploads/1.csv")
    assert not is_written("host_keys/ssh_host_rsa_key")
