"""Large first files read by a second process: the result is the same as without it, and it may fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from importer.errors import Stopped
from importer.file.sidebyside import PIECES
from importer.reconcile import beside
from importer.reconcile.beside import Beside, Task
from importer.rules.settings import ImportSettings
from tests.support.importing import sheet
from tests.support.installation import company_in
from tests.support.waiting import wait_until

HEADER = ("first_name", "last_name", "email", "job_title", "manager", "primary_team", "leave_date")
ROWS = [
    *((f"P{n}", "Lee", f"p{n}@e.com", "Cook", f"p{n // 3}@e.com", f"Team {n % 4}", "") for n in range(1, 40)),
    ("Twice", "Lee", "p7@e.com", "Cook", "", "", ""),
    ("No", "Lee", "no address", "Cook", "", "", ""),
    ("Gone", "Lee", "gone@e.com", "Cook", "", "", "2020-01-01"),
    ("Ahead", "Lee", "ahead@e.com", "#N/A", "", "", "2999-01-01"),
    ("Nul", "Lee", "nul@e.com", "NULL", "nobody@e.com", "Team 1", ""),
    ("Line\nend", "L,e", 'quote"d', "Cook", "", "", ""),
]
WHOLE = sheet(*ROWS, header=HEADER)


async def both(tmp_path: Path, content: bytes, **settings: object) -> list[tuple[object, ...]]:
    """Return the results of a first import without a second process, and with one."""
    found = []
    for name, beside_bytes in (("here", 1 << 40), ("beside", 0)):
        folder = tmp_path / name
        folder.mkdir()
        company = company_in(folder, 5, beside_bytes=beside_bytes)
        outcome = await company.run(content, **settings)
        users = await company.sql("SELECT * FROM users ORDER BY id")
        found.append((outcome, users, company.errors_csv() if outcome.counts.rejected else b""))
    return found


@pytest.mark.parametrize(
    "content",
    [
        WHOLE,
        WHOLE.removesuffix(b"\n"),
        b"\xef\xbb\xbf" + WHOLE + b"\n\n",
        WHOLE + b'"open,',
        WHOLE.replace(b"P9", b"P\xff9"),
        WHOLE.replace(b"P30,Lee", b"P30,Lee,"),
        WHOLE + b"\0\n" + b'a"b,c\n',
        sheet(header=HEADER),
        sheet(("Ann", "Lee", "bad", "", "", "", ""), header=HEADER),
    ],
    ids=["usual", "cut", "mark and blanks", "open quote", "encoding", "ragged", "faults", "no rows", "all rejected"],
)
@pytest.mark.parametrize("skip_last", [0, 1])
async def test_a_file_read_by_a_second_process_gives_the_same_result(
    tmp_path: Path, content: bytes, skip_last: int
) -> None:
    here, there = await both(tmp_path, content, skip_last_lines=skip_last)
    assert here == there


@pytest.mark.logs("reader_ended")
@pytest.mark.parametrize("after", [0, 1, 4])
async def test_a_killed_reader_changes_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, caplog: pytest.LogCaptureFixture
) -> None:
    taken = 0

    def until_killed(self: Beside) -> object:
        nonlocal taken
        if taken == after:
            self._process.kill()
            self._process.wait()
            while True:  # data already written still arrives
                take(self)
        taken += 1
        return take(self)

    take = Beside.next
    monkeypatch.setattr(Beside, "next", until_killed)
    here, there = await both(tmp_path, WHOLE)
    assert here == there
    assert [record.event for record in caplog.records if hasattr(record, "event")] == ["reader_ended"]  # type: ignore[attr-defined]


async def test_the_server_reads_the_file_if_no_process_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "not there"))
    here, there = await both(tmp_path, WHOLE)
    assert here == there


@pytest.mark.parametrize("when", ["hangs", "stops"])
async def test_a_hanging_reader_is_replaced_by_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    started: list[Beside] = []
    program = tmp_path / "hangs"
    program.write_text("#!/bin/sh\nexec /bin/sleep 100000\n")
    program.chmod(0o700)

    def hanging(*given: object) -> Beside | None:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(program))
            reading = start(*given)  # type: ignore[arg-type]
        assert reading is not None
        started.append(reading)
        return reading

    start = Beside.start
    monkeypatch.setattr(Beside, "start", hanging)
    monkeypatch.setattr(beside, "PATIENCE_S", 0.2)
    company = company_in(tmp_path, 5, beside_bytes=0)
    if when == "hangs":
        assert (await company.run(WHOLE)).counts.created > 40
    else:
        with pytest.raises(Stopped):
            await company.run(WHOLE, stopping=lambda: True)
        assert await company.sql("SELECT * FROM users") == []
    assert started[0]._process.returncode == -signal.SIGKILL


def start(tmp_path: Path, content: bytes) -> Beside:
    file = tmp_path / "people.csv"
    file.write_bytes(content)
    reading = Beside.start(Task(file, ImportSettings(), "2026-01-01", 5, PIECES))
    assert reading is not None
    return reading


def test_the_reader_gets_no_descriptor_and_no_environment_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCOUNT_SECRET", "hush")
    kept = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept, True)
    reading = start(tmp_path, WHOLE * 100)
    try:
        reading.next()  # the program runs
        process = Path(f"/proc/{reading._process.pid}")
        assert b"HEADCOUNT" not in (process / "environ").read_bytes()
        opened = {os.readlink(each) for each in (process / "fd").iterdir()}
        assert {name for name in opened if name.startswith("/")} <= {"/dev/null", str(tmp_path / "people.csv")}
        assert len(opened) <= 4
    finally:
        reading.close()
        os.close(kept)


STARTS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from importer.file.sidebyside import PIECES
from importer.reconcile.beside import Beside, Task
from importer.rules.settings import ImportSettings
reading = Beside.start(Task(Path(sys.argv[1]), ImportSettings(), "2026-01-01", 5, PIECES))
if sys.argv[2] == "reads":
    reading.next()
print(reading._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["starts", "reads"])
def test_the_reader_ends_with_a_server_that_is_killed(tmp_path: Path, when: str) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(sheet(*ROWS * 2000, header=HEADER))
    done = subprocess.run(
        [sys.executable, "-c", STARTS_AND_DIES, str(file), when],
        stdout=subprocess.PIPE,
        check=False,
        cwd=Path(beside.__file__).parents[2],
    )
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not runs(int(done.stdout)))


def runs(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
