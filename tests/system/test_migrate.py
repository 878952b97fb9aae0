"""`headcount migrate` moves an installation with all it has into a database, and back."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.files.local.measuring import measure_usage
from tests.support.bucket import bucket_of, key_file, objects_of
from tests.support.clients import POSTGRES, needs
from tests.support.moving import content_of, fill_installation
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.writing import BYTES_STORED, by_hand

pytestmark = [
    needs(POSTGRES, "sftp"),
    pytest.mark.only_on("sqlite", "it uses both engines"),
]


class Installation:
    """A filled data folder, and a new database beside it."""

    def __init__(self, folder: Path, filled: Path) -> None:
        shutil.copytree(filled, folder, symlinks=True, dirs_exist_ok=True)
        _copy_times_and_links(filled, folder)
        self.folder = folder
        self.url = url_of_new(folder)
        secret = folder / "secret"
        secret.write_bytes(os.urandom(32))
        secret.chmod(0o600)
        self.secret = {"HEADCOUNT_SECRET_KEY_FILE": str(secret)}
        self.here = ServerProcess(folder, env=self.secret)
        self.there = ServerProcess(folder, env={**self.secret, "HEADCOUNT_DATABASE_URL": self.url})
        self.back = folder / "back"

    def move(self, *options: str, check: bool = True) -> Any:
        return self.here.cli("migrate", "--to", self.url, *options, check=check)

    def move_back(self, *options: str, check: bool = True) -> Any:
        return self.there.cli("migrate", "--to", str(self.back), *options, check=check)

    def end(self) -> None:
        self.here.end()
        self.there.end()


def _copy_times_and_links(source: Path, target: Path) -> None:
    """Give the copy of a folder the links and times of its files, and those of its folders."""
    first: dict[int, Path] = {}
    paths = sorted(source.rglob("*"), reverse=True)
    for path in paths:
        copy = target / path.relative_to(source)
        if path.is_file() and path.stat().st_nlink > 1:
            if known := first.get(path.stat().st_ino):
                copy.unlink()
                os.link(known, copy)
            else:
                first[path.stat().st_ino] = copy
    for path in paths:
        facts = path.stat()
        os.utime(target / path.relative_to(source), ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    with ServerProcess(folder) as server:
        fill_installation(server)
    return folder


@pytest.fixture
def moved(tmp_path: Path, filled: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, filled)
    yield made
    made.end()


def stored(installation: Installation, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(installation.url) as database:
        return database.execute(statement).fetchall()


def test_an_installation_is_the_same_after_a_move_there_and_back(moved: Installation) -> None:
    before = content_of(moved.here.data)
    there = moved.move("--json").json
    assert (there["moved"], there["tenants"], there["differences"]) == (True, 2, [])
    ran = moved.move_back("--json")
    back = ran.json
    assert {**there, "from": "", "to": ""} == {**back, "from": "", "to": ""}
    assert "has no backup yet" in ran.err
    after = content_of(moved.back)
    assert after.keys() == before.keys()
    for place in before:
        assert after[place] == before[place], place


def test_an_installation_is_the_same_after_a_move_to_s3_and_back(moved: Installation, tmp_path: Path) -> None:
    before = content_of(moved.here.data)
    for each in (moved.here, moved.there):
        each.env |= {"HEADCOUNT_FILES_URL": bucket_of(tmp_path), "HEADCOUNT_FILES_KEY_FILE": str(key_file(tmp_path))}
    assert moved.move("--json").json["differences"] == []
    assert stored(moved, "SELECT count(*) FROM chunks") == [(0,)]
    ((count,),) = stored(moved, "SELECT count(*) FROM contents WHERE object IS NOT NULL AND sealed")
    assert count > 0
    assert moved.move_back("--json").json["differences"] == []
    after = content_of(moved.back)
    assert {place: after[place] for place in before} == before


def test_a_move_names_a_file_whose_object_is_missing_and_goes_on_when_it_is_back(
    moved: Installation, tmp_path: Path
) -> None:
    before = content_of(moved.here.data)
    for each in (moved.here, moved.there):
        each.env |= {"HEADCOUNT_FILES_URL": bucket_of(tmp_path), "HEADCOUNT_FILES_KEY_FILE": str(key_file(tmp_path))}
    moved.move()
    of_file = (
        "SELECT object FROM contents JOIN names ON content_id = contents.id WHERE encode(name, 'escape') ~ 'space'"
    )
    ((key,),) = stored(moved, of_file)
    data = asyncio.run(objects_of(tmp_path).read(key, 0, 1 << 20))
    assert data
    asyncio.run(objects_of(tmp_path).delete([key]))
    ran = moved.move_back(check=False)
    assert (ran.code, "“a/b/ü and space.bin” of acme" in ran.err, "headcount doctor" in ran.err) == (1, True, True)
    told = moved.there.cli("doctor", "--json", check=False).json
    assert [each["severity"] for each in told if each["file"].endswith("space.bin")] == ["error"]
    (marked,) = [each for each in told if "is being moved to the data folder" in each["what"]]
    assert (marked["severity"], "To go on, run the same headcount migrate again" in marked["do"]) == ("warning", True)
    asyncio.run(objects_of(tmp_path).put(key, data))
    assert moved.move_back("--json").json["differences"] == []
    after = content_of(moved.back)
    assert {place: after[place] for place in before} == before


def test_a_moved_installation_goes_on_in_its_database(moved: Installation) -> None:
    (held,) = [each for each in moved.here.cli("import", "list", "acme", "--json").json if each["id"] == 8]
    assert held["state"] == "held"
    host_keys = content_of(moved.here.data)["host_keys"]
    token = moved.here.cli("token", "create", "acme", "--role", "owner").text.strip()
    secret = moved.here.cli("notify", "secret", "acme").text
    files = os.open(moved.here.data / "tenants/acme/files", os.O_RDONLY)
    counted = measure_usage(files)
    os.close(files)
    moved.move()
    usage = "SELECT bytes, files FROM usage JOIN tenants ON id = tenant_id WHERE name = 'acme'"
    assert stored(moved, usage) == [(counted.size, counted.files)]
    assert moved.there.cli("notify", "secret", "acme").text == secret
    with moved.there as server:
        assert server.get("/api/v1/tenants/acme/imports/8", Authorization=f"Bearer {token}").json()["state"] == "held"
        shown = [tuple(row) for row in stored(moved, "SELECT name || '.pub', public FROM host_keys ORDER BY name")]
        assert shown == [(name, " ".join(key)) for name, key in host_keys]
        local = moved.folder / "fetched"
        done = server.sftp("acme", f'get "/a/b/ü and space.bin" "{local}"')
        assert (done.returncode, local.read_bytes()) == (0, (moved.folder / "a file").read_bytes())
        assert server.cli("import", "approve", "acme", "8", "--json").json["state"] == "completed"
        assert server.cli("import", "undo", "acme", "8", "--json").json["state"] == "undone"
        server.put("acme", (moved.here.data / "tenants/acme/uploads/7.csv").read_bytes())
        report = server.wait("acme")
        assert (report["id"], report["state"], report["counts"]["unchanged"]) == (9, "unchanged", 4)


def test_a_source_is_used_neither_by_servers_nor_by_commands_after_a_move(moved: Installation) -> None:
    moved.move()
    moved.here.launch()
    assert moved.here.died() == 1
    assert "was moved to the database" in moved.here.log.read_text()
    ran = moved.here.cli("tenant", "list", check=False)
    assert (ran.code, "was moved to the database" in ran.err) == (1, True)
    again = moved.move(check=False)
    assert (again.code, "was moved to the database" in again.err) == (1, True)
    (told,) = [
        each for each in moved.here.cli("doctor", "--json", check=False).json if "was moved to" in each["what"]
    ]
    assert (told["severity"], "Use that" in told["do"]) == ("notice", True)


def test_a_move_with_a_difference_ends_with_1_and_is_canceled(moved: Installation) -> None:
    before = content_of(moved.here.data)
    moved.there.cli("ban", "list")  # it makes the tables
    with psycopg.connect(moved.url, autocommit=True) as database:
        database.execute(
            "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.last_name = 'Other'; RETURN NEW; END $$"
        )
        database.execute("CREATE TRIGGER other BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION other()")
    ran = moved.move(check=False)
    assert (ran.code, "the table users of acme differs (5 rows)" in ran.err) == (1, True)
    for side in (moved.here, moved.there):
        assert side.cli("tenant", "list", check=False).code == 1
    moved.move("--cancel")
    assert moved.there.cli("tenant", "list", check=False).code == 1
    assert content_of(moved.here.data) == before
    with moved.here as server:
        assert server.wait("acme")["state"] == "held"
    again = moved.move(check=False)
    assert (again.code, "has data already" in again.err) == (1, True)


def test_a_canceled_move_says_which_objects_are_left(moved: Installation, tmp_path: Path) -> None:
    for each in (moved.here, moved.there):
        each.env |= {"HEADCOUNT_FILES_URL": bucket_of(tmp_path), "HEADCOUNT_FILES_KEY_FILE": str(key_file(tmp_path))}
    moved.move()
    ((count,),) = stored(moved, "SELECT count(*) FROM contents WHERE object IS NOT NULL")
    said = moved.move("--cancel").text
    start = stored(moved, "SELECT text FROM marks WHERE name = 'files'")[0][0]
    assert f"keeps {count} objects in s3://" in said
    assert f"with keys that begin with {start}/. Delete them together with that database" in said
    listed = asyncio.run(objects_of(tmp_path).list(f"{start}/", "", 1000))
    assert len(listed) >= count


def test_a_canceled_move_leaves_the_source_as_it_was_before(moved: Installation) -> None:
    """All but the sign-ins: they may have been ended in the target."""
    before = content_of(moved.here.data)
    for table in ("sessions", "sign_in_links"):
        assert before["headcount.db"][table]
        before["headcount.db"][table] = []
    moved.move()
    moved.there.cli("tenant", "add", "later")
    assert "Changes since the move are only there" in moved.move("--cancel").text
    ran = moved.there.cli("tenant", "list", check=False)
    assert (ran.code, "was canceled. Use the data folder" in ran.err) == (1, True)
    assert [each["name"] for each in moved.here.cli("tenant", "list", "--json").json] == ["acme", "globex"]
    assert content_of(moved.here.data) == before


def test_an_installation_with_a_server_is_not_moved(moved: Installation) -> None:
    with moved.here:
        ran = moved.move(check=False)
    assert (ran.code, "another server already runs" in ran.err) == (1, True)
    assert "If it is another headcount migrate, wait for its end" in ran.err
    moved.move()
    with moved.there:
        back = moved.move_back(check=False)
    assert (back.code, "a server runs on the database" in back.err) == (1, True)
    moved.move_back()


def test_a_frozen_server_keeps_its_database_from_being_moved_or_stops(moved: Installation) -> None:
    """PostgreSQL takes it for gone. When it continues, its clients must get no OK in a place that was left."""
    moved.move()
    with moved.there as server:
        server.freeze()
        here = "application_name = 'headcount node' AND datname = current_database()"
        runs = f"SELECT count(*) FROM pg_stat_activity WHERE {here}"
        wait_until(lambda: stored(moved, runs) == [(0,)], 30, "PostgreSQL to take the server for gone")
        refused = moved.move_back(check=False)
        assert (refused.code, "was killed or is frozen" in refused.err) == (1, True)
        with psycopg.connect(moved.url) as database:  # as another server does after a while
            database.execute("DELETE FROM nodes")
        moved.move_back()
        server.thaw()
        server.died()
        assert "server_moved" in server.events()


@pytest.mark.parametrize("what", ["a draft", "the bytes of a file"])
def test_a_killed_server_ends_its_work_before_a_move(moved: Installation, what: str) -> None:
    if what == "a draft":
        (moved.here.data / "tenants/acme/staging/left").write_bytes(b"half")
    else:
        by_hand(moved.here.data / "headcount.db", f"{BYTES_STORED} LIMIT 1")
    ran = moved.move(check=False)
    assert (ran.code, "was killed" in ran.err) == (1, True)
    with moved.here as server:
        server.stop()
    moved.move()


def test_a_move_that_fails_says_how_to_go_on(moved: Installation) -> None:
    moved.there.cli("ban", "list")  # it makes the tables
    with psycopg.connect(moved.url, autocommit=True) as database:
        database.execute("ALTER TABLE teams ADD CONSTRAINT none CHECK (name = 'none')")
        ran = moved.move(check=False)
        assert (ran.code, "violates check constraint" in ran.err, "--cancel" in ran.warned) == (1, True, True)
        database.execute("ALTER TABLE teams DROP CONSTRAINT none")
    moved.move()
    assert [each["name"] for each in moved.there.cli("tenant", "list", "--json").json] == ["acme", "globex"]


def test_a_pipe_among_files_is_found_before_anything_is_copied(moved: Installation) -> None:
    pipe = moved.here.data / "tenants/globex/files/pipe"
    os.mkfifo(pipe)
    ran = moved.move(check=False)
    assert (ran.code, "is neither a file nor a folder" in ran.err, ran.warned) == (1, True, "")
    assert moved.here.cli("tenant", "list", "--json").json[0]["name"] == "acme"
    pipe.unlink()
    moved.move()


def test_a_damaged_tenant_is_found_before_anything_is_copied(moved: Installation) -> None:
    users = moved.here.data / "tenants/globex/users.db"
    content = users.read_bytes()
    users.write_bytes(b"no database" * 1000)
    ran = moved.move(check=False)
    assert (ran.code, "globex cannot be moved" in ran.err, "users.db" in ran.err) == (1, True, True)
    assert moved.here.cli("tenant", "list", "--json").json[0]["name"] == "acme"
    users.write_bytes(content)
    moved.move()


def test_a_wrong_secret_is_refused_before_anything_is_copied(moved: Installation) -> None:
    del moved.here.env["HEADCOUNT_SECRET_KEY_FILE"]
    ran = moved.move(check=False)
    assert (ran.code, "HEADCOUNT_SECRET_KEY_FILE" in ran.err) == (1, True)
    assert moved.here.cli("tenant", "list", "--json").json[0]["name"] == "acme"
    moved.here.env |= moved.secret
    moved.move()
    wrong = moved.folder / "wrong"
    wrong.write_bytes(bytes(32))
    wrong.chmod(0o600)
    moved.there.env["HEADCOUNT_SECRET_KEY_FILE"] = str(wrong)
    back = moved.move_back(check=False)
    assert (back.code, "is not the secret file" in back.err) == (1, True)
    assert moved.there.cli("tenant", "list", "--json").json[0]["name"] == "acme"


def test_a_place_with_data_is_refused_as_a_target(moved: Installation) -> None:
    moved.there.cli("tenant", "add", "other")
    ran = moved.move(check=False)
    assert (ran.code, "has data already" in ran.err) == (1, True)
    assert moved.here.cli("tenant", "list", "--json").json[0]["name"] == "acme"
    moved.back.mkdir()
    (moved.back / "mine.txt").touch()
    back = moved.move_back(check=False)
    assert (back.code, "has other files (mine.txt)" in back.err) == (1, True)


def test_a_move_needs_a_folder_and_a_database(moved: Installation) -> None:
    here = moved.here.cli("migrate", "--to", str(moved.back), check=False)
    assert (here.code, "headcount backup" in here.err, moved.back.exists()) == (1, True, False)
    there = moved.there.cli("migrate", "--to", moved.url, check=False)
    assert (there.code, "pg_dump" in there.err) == (1, True)
    wrong = moved.here.cli("migrate", "--to", "postgresql://me:sec/ret@host/x", check=False)
    assert (wrong.code, "sec" in wrong.err) == (1, False)
