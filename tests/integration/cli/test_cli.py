"""The command line: its results, its errors, and the output that other programs rely on."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from headcount import __version__
from server.cli import COMMANDS
from server.tenants.settings import TenantSettings
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.cli import Ran, run_cli
from tests.support.installation import installation
from tests.support.keypairs import keypair, public_line
from tests.support.writing import by_hand


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    installation(tmp_path / "data").use(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path / "data"


@pytest.fixture
def pub(tmp_path: Path) -> str:
    path = tmp_path / "hr.pub"
    path.write_text(public_line() + "\n")
    return str(path)


def done(*arguments: str, stdin: bytes = b"") -> Ran:
    ran = run_cli(*arguments, stdin=stdin)
    assert (ran.code, ran.err) == (0, "")
    return ran


def refused(*arguments: str, code: int = 1, stdin: bytes = b"") -> str:
    """Run a command that fails; return its sentence on stderr. It must print nothing on stdout."""
    ran = run_cli(*arguments, stdin=stdin)
    assert (ran.code, ran.out) == (code, b"")
    assert "Traceback" not in ran.err
    return ran.err.strip().splitlines()[-1]


def test_a_tenant_is_added_listed_shown_and_removed(pub: str, data_dir: Path) -> None:
    added = done("tenant", "add", "acme", "--key", pub, "--json").json
    assert added["name"] == "acme"
    if chosen_engine() == EMBEDDED:
        assert Path(added["folder"]) == data_dir / "tenants" / "acme"
    assert done("tenant", "list", "--json").json == [
        {
            "name": "acme",
            "created_at": added["created_at"],
            "key_count": 1,
            "users": {"active": 0, "deactivated": 0},
            "last_applied_at": None,
            "stale": None,
            "broken": None,
        }
    ]
    assert done("tenant", "show", "acme", "--json").json == added
    moved = done("tenant", "remove", "acme", "--yes", "--json").json
    if chosen_engine() == EMBEDDED:
        assert Path(moved["moved_to"]).is_dir()
    assert done("tenant", "list", "--json").json == []


@pytest.mark.only_on("sqlite", "no other engine has a data folder")
def test_only_this_user_can_read_the_files_of_a_tenant(pub: str, data_dir: Path) -> None:
    done("tenant", "add", "acme", "--key", pub)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [data_dir, *data_dir.rglob("*")])


def test_settings_are_shown_as_they_are_typed() -> None:
    done("tenant", "add", "acme")
    assert done("tenant", "set", "acme", "deactivate_missing=yes", "quota_bytes=5GiB").text == (
        "  deactivate_missing = true\n  quota_bytes = 5368709120\n"
    )
    shown = done("tenant", "show", "acme").text
    assert "  allowed_networks = \n" in shown
    assert "  quota_bytes = 5368709120\n" in shown
    networks = done("tenant", "set", "acme", "allowed_networks=10.0.0.0/8, ::ffff:192.0.2.0/120", "--json").json
    assert networks["allowed_networks"] == ["10.0.0.0/8", "192.0.2.0/24"]
    assert networks["deactivate_missing"] is True


def test_an_empty_value_resets_a_setting_to_its_default() -> None:
    done("tenant", "add", "acme")
    done("tenant", "set", "acme", "max_sessions=2", "max_creations_percent=5")
    after = done("tenant", "set", "acme", "max_sessions=", "max_creations_percent=", "--json").json
    assert after == TenantSettings().to_json()


def test_several_settings_are_changed_completely_or_not_at_all() -> None:
    done("tenant", "add", "acme")
    sentence = refused("tenant", "set", "acme", "max_sessions=2", "quota_files=lots")
    assert sentence.startswith("Error: quota_files: must be a whole number")
    assert done("tenant", "show", "acme", "--json").json["settings"]["max_sessions"] == 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tenant", "add", "acme"), "the tenant acme exists already"),
        (("tenant", "add", "../acme"), "cannot be the name of a tenant"),
        (("tenant", "add", "initech", "--key", "no/such.pub"), "no/such.pub: No such file"),
        (("tenant", "show", "initech"), "no tenant initech"),
        (("tenant", "set", "acme", "max_sesions=3"), "did you mean max_sessions"),
        (("tenant", "set", "acme", "allowed_networks=10.0.0.1/8"), "did you mean 10.0.0.0/8"),
        (("tenant", "remove", "initech", "--yes"), "no tenant initech"),
        (("key", "list", "initech"), "no tenant initech"),
        (("key", "revoke", "acme", "SHA256:none"), "there is no key SHA256:none"),
        (("token", "create", "initech", "--role", "owner"), "no tenant initech"),
        (("token", "revoke", "7"), "no token 7"),
    ],
)
def test_a_refused_command_prints_one_sentence_and_exits_with_1(arguments: tuple[str, ...], says: str) -> None:
    done("tenant", "add", "acme")
    assert says in refused(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("tenant", "nosuch"),
        ("tenant", "add"),
        ("tenant", "set", "acme"),
        ("tenant", "set", "acme", "max_sessions"),
        ("tenant", "remove", "acme"),
        ("key", "add", "acme"),
        ("token", "create"),
        ("token", "create", "acme"),
        ("token", "create", "acme", "--role", "operator"),
        ("token", "create", "acme", "--operator"),
        ("token", "create", "--operator", "--role", "owner"),
        ("token", "revoke", "first"),
        ("tenant", "list", "--jason"),
    ],
)
def test_wrong_usage_exits_with_2_and_changes_nothing(arguments: tuple[str, ...], data_dir: Path) -> None:
    refused(*arguments, code=2)
    if chosen_engine() == EMBEDDED:
        assert not data_dir.exists()


@pytest.mark.only_on("sqlite", "no other engine has a data folder")
def test_reading_commands_create_no_data_folder(data_dir: Path) -> None:
    lists = [(noun, "list") for noun in ("tenant", "token", "ban", "hook")]
    for command in (("tenant", "show", "acme"), *lists):
        assert f"there is no data folder {data_dir}. " in refused(*command)
    assert not data_dir.exists()


def test_the_list_of_tenants_shows_stale_feeds(data_dir: Path) -> None:
    for name in ("acme", "globex", "initech"):
        done("tenant", "add", name)
    done("tenant", "set", "acme", "stale_after_days=2")
    done("tenant", "set", "globex", "stale_after_days=2")
    installation(data_dir).date_tenants("2020-01-01T00:00:00.000Z", "globex")
    listed = {one["name"]: one["stale"] for one in done("tenant", "list", "--json").json}
    assert listed == {"acme": False, "globex": True, "initech": None}
    lines = done("tenant", "list").text.splitlines()
    assert [line.split()[-1] for line in lines] == ["STALE", "no", "yes", "-"]


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
def test_a_tenant_without_a_table_does_not_hide_the_others_in_the_list(data_dir: Path) -> None:
    for name in ("acme", "globex"):
        done("tenant", "add", name)
    by_hand(data_dir / "tenants/acme/users.db", "ALTER TABLE users RENAME TO away")
    listed = {one["name"]: one["users"] for one in done("tenant", "list", "--json").json}
    assert listed == {"acme": None, "globex": {"active": 0, "deactivated": 0}}


@pytest.mark.only_on("sqlite", "its words are those of SQLite")
def test_a_missing_table_is_named(data_dir: Path) -> None:
    done("tenant", "add", "acme")
    by_hand(data_dir / "tenants/acme/users.db", "ALTER TABLE users RENAME TO away")
    by_hand(data_dir / "headcount.db", "ALTER TABLE tokens RENAME TO away")
    for table, command in (("users", ("users", "list", "acme")), ("tokens", ("token", "list"))):
        ran = run_cli(*command)
        assert (ran.code, ran.err) == (1, f"Error: the database cannot be used: no such table: {table}\n")


def test_keys_are_added_listed_and_revoked(tmp_path: Path) -> None:
    done("tenant", "add", "acme")
    added = done(
        "key", "add", "acme", "-", "--comment", "HR", "--expires", "2099-12-31", "--from", "10.0.0.0/8", "--json",
        stdin=public_line().encode(),
    ).json  # fmt: skip
    assert added["fingerprint"] == keypair().convert_to_public().get_fingerprint()
    assert (added["comment"], added["expires"], added["networks"]) == ("HR", "2099-12-31", ["10.0.0.0/8"])
    assert done("key", "list", "acme", "--json").json == [added]
    done("key", "revoke", "acme", added["fingerprint"])
    assert done("key", "list", "acme", "--json").json == []


def test_a_key_saved_by_powershell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hr.pub"
    path.write_text(public_line() + "\r\n", encoding="utf-16")
    done("tenant", "add", "acme", "--key", str(path))
    assert len(done("key", "list", "acme", "--json").json) == 1


def test_a_private_key_given_by_mistake_is_named_and_not_stored(data_dir: Path) -> None:
    done("tenant", "add", "acme")
    private = keypair().export_private_key("openssh")
    assert "PRIVATE key" in refused("key", "add", "acme", "-", stdin=private)
    assert installation(data_dir).holds("acme")
    assert not installation(data_dir).holds("PRIVATE")


def test_a_token_keeps_the_address_of_its_holder() -> None:
    done("token", "create", "--operator")
    done("tenant", "add", "acme")
    made = done("token", "create", "acme", "--role", "viewer", "--email", " Ann@ACME.example ", "--json").json
    assert made["email"] == "ann@acme.example"
    assert "ann@acme.example" in done("token", "list").text


def test_creating_a_token_prints_the_token_and_nothing_else() -> None:
    operator = done("token", "create", "--operator").text
    assert operator.startswith("hc_")
    assert operator.count("\n") == 1
    done("tenant", "add", "acme")
    viewer = done("token", "create", "acme", "--role", "viewer", "--expires", "2099-01-31", "--json").json
    listed = done("token", "list", "--json").json
    assert [(each["tenant"], each["role"]) for each in listed] == [(None, "operator"), ("acme", "viewer")]
    assert viewer.pop("token") not in str(listed)
    assert listed[1] == viewer
    done("token", "revoke", str(viewer["id"]))
    assert len(done("token", "list", "--json").json) == 1


def test_a_wrong_server_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_SFTP_PORT", "ssh")
    assert refused("tenant", "add", "acme").startswith("Error: HEADCOUNT_SFTP_PORT: must be a whole number")


@pytest.mark.only_on("sqlite", "no other engine has a data folder")
def test_a_data_folder_of_another_user_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("tenant", "add", "acme")
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert "belongs to the user" in refused("tenant", "add", "initech")


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
def test_a_tenant_that_cannot_be_read_does_not_hide_the_others(data_dir: Path) -> None:
    done("tenant", "add", "acme")
    done("tenant", "add", "initech")
    done("tenant", "add", "umbrella")
    (data_dir / "tenants" / "acme" / "keys.json").write_text("broken")
    (data_dir / "tenants" / "initech").rename(data_dir / "elsewhere")
    rows = done("tenant", "list", "--json").json
    assert [(row["name"], row["key_count"]) for row in rows] == [("acme", None), ("initech", None), ("umbrella", 0)]


def test_tables_are_not_cut_or_wrapped_without_a_terminal() -> None:
    done("tenant", "add", "acme")
    done("key", "add", "acme", "-", "--comment", "x" * 200, stdin=public_line().encode())
    heading, line = done("key", "list", "acme").text.splitlines()
    assert heading.split() == ["FINGERPRINT", "TYPE", "COMMENT", "ADDED", "EXPIRES", "FROM", "LAST", "USED"]
    assert "x" * 200 in line
    assert line.index("x" * 200) == heading.index("COMMENT")


def test_every_command_has_a_help() -> None:
    for name in COMMANDS:
        assert done(name, "--help").text.startswith(f"Usage: headcount {name}")
    assert done("--version").text == f"headcount {__version__}\n"


def test_a_reader_that_closes_the_pipe_causes_no_error_message() -> None:
    command = [sys.executable, "-m", "server", "tenant", "show", "acme"]
    done("tenant", "add", "acme")
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as running:
        os.close(write)
        assert running.stderr is not None
        assert running.stderr.read().splitlines()[1:] == []  # the first line warns that no server runs
        assert running.wait(30) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "show", "acme", "9" * 20),
        ("import", "list", "acme", "--limit", "9" * 20),
        ("token", "revoke", "9" * 20),
    ],
)
def test_a_number_too_large_for_the_database_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    done("tenant", "add", "acme", "--json")
    ran = run_cli(*arguments)
    assert ran.code == 2
    assert "is not in the range" in ran.err


@pytest.mark.parametrize(
    "arguments", [("users", "show", "acme", "\udcff"), ("users", "list", "acme", "--search", "\udcff")]
)
def test_an_argument_that_is_not_utf_8_is_named_as_the_reason(arguments: tuple[str, ...]) -> None:
    done("tenant", "add", "acme", "--json")
    ran = run_cli(*arguments)
    sentence = "an argument is not valid UTF-8, so nothing has this name. Check the encoding of the terminal"
    assert (ran.code, ran.err) == (1, f"Error: {sentence}\n")


@pytest.mark.parametrize("name", ["quota_bytes", "quota_files", "max_file_bytes"])
def test_a_limit_too_large_for_sftp_is_refused(name: str) -> None:
    done("tenant", "add", "acme", "--json")
    ran = run_cli("tenant", "set", "acme", f"{name}={10**25}")
    assert ran.code == 1
    assert name in ran.err


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-"])
def test_a_command_works_with_a_closed_standard_stream(closed: str) -> None:
    done("tenant", "add", "acme")
    command = f'exec "$0" -m server tenant list {closed}'
    ran = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0
    assert b"went wrong" not in ran.stderr
