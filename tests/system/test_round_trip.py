"""Rejected rows are fetched, fixed and sent again over SFTP, and formula cells are escaped, with OpenSSH's client."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import needs
from tests.support.importing import people, sheet
from tests.support.server_process import ServerProcess

pytestmark = needs("sftp")

HEADER = ("first_name", "last_name", "email", "job_title", "primary_team", "secondary_team")
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of this module; each test has its own tenant."""
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0


def fetched(server: ServerProcess, tenant: str, import_id: int) -> str:
    """Return the errors.csv of an import, fetched over SFTP."""
    local = server.folder / f"{tenant}-{import_id}.errors.csv"
    done = server.sftp(tenant, f'get /results/sync_users-{import_id}.errors.csv "{local}"')
    assert done.returncode == 0, done.stderr
    return local.read_bytes().decode("utf-8-sig")


def fixed(text: str, fix: Callable[[dict[str, str]], None], delimiter: str = ",") -> bytes:
    """Return the file that a spreadsheet saves after `fix` has changed each row of `text`."""
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: Rows = [dict(row) for row in reader]
    for row in rows:
        fix(row)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(reader.fieldnames or ()), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def cells(text: str, delimiter: str = ",") -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]


def user(server: ServerProcess, tenant: str, email: str) -> Any:
    return server.cli("users", "show", tenant, email, "--json").json


def test_rejected_rows_are_fetched_fixed_and_sent_again_until_none_is_left(server: ServerProcess) -> None:
    server.add_tenant("acme", deactivate_missing="true")
    good = [(name.title(), "Smith", f"{name}@example.com", "", "", "") for name in ("ann", "bob", "cy")]
    bad = [
        ("=1+1", "O'Neil", "eve at example.com", "'+Lead", "''@home", "-Ops, @x"),
        ("Fay", "", "fay@example.com", "", "", ""),
    ]
    server.put("acme", sheet(*good, *bad, header=HEADER))
    report = server.wait("acme")
    assert (report["state"], report["counts"]["rejected"]) == ("completed_with_errors", 2)

    first = fetched(server, "acme", 1)
    assert not [cell for cell in cells(first) if cell.startswith(("=", "+", "-", "@"))]
    codes = [row[:2] for row in csv.reader(io.StringIO(first))][1:]
    assert codes == [["5", "formula; invalid_email"], ["6", "missing_value"]]

    def fix_one(row: dict[str, str]) -> None:
        row["email"] = row["email"].replace(" at ", "@")

    server.put("acme", fixed(first, fix_one))
    report = server.wait("acme")
    assert (report["counts"]["created"], report["counts"]["rejected"], report["counts"]["deactivated"]) == (1, 1, 0)
    eve = user(server, "acme", "eve@example.com")
    assert (eve["first_name"], eve["last_name"], eve["job_title"]) == ("=1+1", "O'Neil", "+Lead")
    assert (eve["primary_team"], eve["secondary_team"]) == ("'@home", ["-Ops", "@x"])

    second = fetched(server, "acme", 2)
    assert cells(second).count("_code") == 1
    server.put("acme", fixed(second, lambda row: row.update(last_name="Gray")))
    report = server.wait("acme")
    assert (report["state"], report["counts"]["created"]) == ("completed", 1)
    assert server.sftp("acme", "get /results/sync_users-3.errors.csv /dev/null").returncode != 0
    assert set(server.users("acme").values()) == {"active"}
    assert len(server.users("acme")) == 5

    exported = server.cli("users", "export", "acme").text
    assert not [cell for cell in cells(exported) if cell.startswith(("=", "+", "-", "@"))]
    server.put("acme", exported.encode())
    assert server.wait("acme")["state"] == "unchanged"


def test_rejected_rows_have_the_file_format_of_the_tenant(server: ServerProcess) -> None:
    server.add_tenant("umlaut", delimiter=";", encoding="cp1252", field_mapping='{"=Mail": "email"}')
    text = "first_name;last_name;=Mail\r\nZoë;Müller;zoe\r\nJörg;Weiß;joerg@example.com\r\n"
    server.put("umlaut", text.encode("cp1252"))
    assert server.wait("umlaut")["counts"]["rejected"] == 1
    rejected = fetched(server, "umlaut", 1)
    server.put("umlaut", fixed(rejected, lambda row: row.update({"'=Mail": "zoe@example.com"}), ";"))
    assert server.wait("umlaut")["state"] == "completed"
    assert user(server, "umlaut", "zoe@example.com")["first_name"] == "Zoë"


def sums(path: Path) -> bytes:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n".encode()


def test_a_file_is_imported_when_its_checksum_matches(server: ServerProcess, tmp_path: Path) -> None:
    server.add_tenant("vouched", require_checksum="true")
    local = tmp_path / "sync_users.csv"
    local.write_bytes(people("ann"))
    beside = tmp_path / "sync_users.csv.sha256"
    beside.write_bytes(sums(local))
    done = server.sftp("vouched", f'put "{local}"')
    assert done.returncode == 0
    assert server.reaches("vouched", 1, "queued")
    done = server.sftp("vouched", f'put "{beside}" x.part', "rename x.part sync_users.csv.sha256")
    assert done.returncode == 0, done.stderr
    assert server.wait("vouched")["state"] == "completed"
    # The checksum of the next file comes first, while that of the previous file is still there.
    local.write_bytes(people("ann", "bob"))
    beside.write_bytes(sums(local))
    assert server.sftp("vouched", f'put "{beside}"', f'put "{local}"').returncode == 0
    assert server.wait("vouched", 2)["state"] == "completed"
    # The uploaded file is not the one from which the checksum was made.
    local.write_bytes(people("ann", "bob", "cy"))
    beside.write_bytes(sums(local))
    local.write_bytes(people("ann", "bob"))
    assert server.sftp("vouched", f'put "{beside}"', f'put "{local}"').returncode == 0
    report = server.wait("vouched", 3)
    assert (report["state"], report["messages"][0]["code"]) == ("failed", "checksum_differs")


def test_a_waiting_import_and_its_checksum_survive_a_kill(server: ServerProcess, tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as mortal:
        mortal.add_tenant("acme", require_checksum="true")
        mortal.put("acme", people("ann"))
        mortal.kill()
        mortal.start()
        mortal.put("acme", f"{hashlib.sha256(people('ann')).hexdigest()} *sync_users.csv\r\n".encode(), CHECKSUM)
        mortal.kill()
        mortal.start()
        assert mortal.wait("acme", 1)["state"] == "completed"
        mortal.put("acme", people("ann"))
        assert mortal.wait("acme", 2)["state"] == "unchanged"


def test_an_invalid_checksum_is_refused_with_the_reason(server: ServerProcess, tmp_path: Path) -> None:
    server.add_tenant("hasty")
    local = tmp_path / "hello"
    local.write_text("hello\n")
    done = server.sftp("hasty", f'put "{local}" {CHECKSUM}')
    assert done.returncode != 0
    assert "Failure" in done.stderr
    assert server.stored.visible("hasty", CHECKSUM) is None
    (listed,) = server.cli("import", "list", "hasty", "--json").json
    assert listed["state"] == "aborted"
    assert listed["message"].startswith("The checksum was not accepted: sync_users.csv.sha256 must hold one line")


CHECKSUM = "/sync_users.csv.sha256"
