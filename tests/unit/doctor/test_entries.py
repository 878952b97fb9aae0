"""An entry of the data folder is judged by its kind, owner and mode."""

from __future__ import annotations

import pytest

from server.backup.identity import ID
from server.doctor.entries import (
    Fault,
    Kind,
    Seen,
    entry_findings,
    fault_of,
    fault_of_data_folder,
    is_own,
    is_written,
)
from server.doctor.findings import Finding, Severity
from server.tenants.sending import MARK

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
    lost: bool = False,
) -> Seen:
    return Seen(path, kind, mode, owner, usable=usable, reachable=reachable, target=target, lost=lost)


def found(*entries: Seen) -> list[Finding]:
    faulty = [(each, fault) for each in entries if (fault := fault_of(each, OWNER))]
    return entry_findings(faulty, DATA, "headcount", {0: "root", OWNER: "headcount"}, {"acme", "bolt"})


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
    assert finding.do.endswith(f": chown -hR headcount {DATA}/tenants/acme")


def test_an_entry_of_another_owner_that_cannot_be_used_is_an_error() -> None:
    (finding,) = found(seen(owner=4711, usable=False))
    assert finding.severity is Severity.ERROR
    assert "the user #4711" in finding.what


def test_an_entry_without_access_for_its_owner_says_how_to_give_it() -> None:
    (finding,) = found(seen("headcount.db", mode=0o400, usable=False))
    assert (finding.tenant, finding.severity) == (None, Severity.ERROR)
    assert finding.do.endswith(f": chmod -R u+rwX {DATA}/headcount.db*")
    (finding,) = found(seen("headcount.lock", mode=0o400, usable=False))
    assert finding.do.endswith(f": chmod -R u+rwX {DATA}/headcount.lock")


def test_of_the_data_folder_itself_only_the_entry_is_changed() -> None:
    (shut,) = found(seen("", Kind.FOLDER, 0o500, usable=False))
    assert (shut.file, shut.do) == (DATA, f"Give its owner access: chmod u+rwX {DATA}")
    (foreign,) = found(seen("", Kind.FOLDER, owner=0, usable=False))
    assert foreign.do.endswith(f": chown headcount {DATA}")


@pytest.mark.parametrize(
    ("mode", "owner", "do"),
    [
        *((0o755, OWNER, None), (0o775, OWNER, "chmod go-w"), (0o707, OWNER, "chmod go-w")),
        *((0o2775, 0, None), (0o1777, 0, "chmod o-w")),
    ],
)
def test_only_the_group_of_a_data_folder_of_another_user_may_write_to_it(
    mode: int, owner: int, do: str | None
) -> None:
    folder = seen("", Kind.FOLDER, mode, owner)
    fault = fault_of_data_folder(folder, OWNER)
    assert fault is (Fault.EXPOSED if do else None)
    if fault:
        (finding,) = entry_findings([(folder, fault)], DATA, "headcount", {OWNER: "headcount"}, ())
        assert finding.do == f"End their access: {do} {DATA}"


def test_an_entry_beside_the_tenants_belongs_to_none() -> None:
    assert [
        each.tenant for each in found(*(seen(f"tenants/{name}", owner=0) for name in (".lock", "Acme", "bolt")))
    ] == [
        None,
        None,
        "bolt",
    ]


def test_a_link_is_replaced_by_a_copy_but_removed_among_the_files_of_a_client() -> None:
    whole = seen("tenants/acme", Kind.LINK, target="/mnt/big disk/acme")
    files = seen("tenants/acme/files", Kind.LINK, target="/mnt/files")
    inside = seen("tenants/acme/files/passwd", Kind.LINK, target="/etc/passwd")
    acme, place = f"{DATA}/tenants/acme", f"{DATA}/tenants/acme/files"
    findings = found(whole, files, inside)
    assert [each.severity for each in findings] == [Severity.WARNING, Severity.ERROR, Severity.WARNING]
    assert [each.do.rpartition(": ")[2] for each in findings] == [
        f"cp -aT '/mnt/big disk/acme' {acme}.new && rm {acme} && mv {acme}.new {acme}",
        f"cp -aT /mnt/files {place}.new && rm {place} && mv {place}.new {place}",
        f"rm {place}/passwd",
    ]


def test_a_link_that_leads_nowhere_has_no_command() -> None:
    (finding,) = found(seen("tenants/bolt", Kind.LINK, target="/mnt/bolt", lost=True))
    assert "/mnt/bolt, where nothing is" in finding.what
    assert finding.do.startswith("If the link leads to another disk, mount this.")
    assert ": " not in finding.do


@pytest.mark.parametrize(
    "path", ["headcount.db", "headcount.db-wal", "tenants/acme", "host_keys", "removed", "digests", ID, MARK]
)
def test_what_headcount_makes_is_checked(path: str) -> None:
    assert is_own(path)


@pytest.mark.parametrize("path", ["tenants/.lock", "tenants/acme/messages/.1.new", "tenants/acme/files/.profile"])
def test_hidden_files_that_headcount_or_clients_make_are_checked(path: str) -> None:
    assert is_own(path)


@pytest.mark.parametrize(
    "path",
    [
        *("lost+found", "hooks.toml", ".restoring", "headcount.toml", "tenants/lost+found", "tenants/.snapshot"),
        *("removed/.snapshot", "tenants/acme/.users.db-litestream"),
    ],
)
def test_what_the_operator_put_there_is_not_checked(path: str) -> None:
    assert not is_own(path)


def test_the_files_of_clients_need_only_be_readable() -> None:
    assert is_written("tenants/acme/users.db")
    assert is_written("tenants/acme/messages/1.jsonl")
    assert not is_written("tenants/acme/files/inbox/a.csv")
    assert not is_written("tenants/acme/uploads/1.csv")
    assert not is_written("host_keys/ssh_host_rsa_key")
    assert not is_written(ID)
    assert not is_written(MARK)
