"""A plain hook that blocks, crashes, forks or takes all memory ends its run, and everything else goes on."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

import headcount
from headcount.hooks import Result
from server.runs.ends import Again, Done, End
from server.runs.python import pool
from server.runs.python.calling import Calling, Workshop
from server.runs.python.pool import Pool, absolute_path
from server.settings import environment_of_hooks
from tests.support import ROOT
from tests.support.hook_modules import attempt_of, load_hook
from tests.support.waiting import eventually, wait_until

CODE = """
@hook("/invoices/*.csv", name="invoices", timeout_s=TIMEOUT, max_memory_bytes=MEMORY)
def invoices(delivery):
    with delivery.open() as file:
        exec(file.read())
    return Result(str(os.getpid()))
"""
"""A hook that does what the file says, and answers the number of its process."""


@pytest.fixture
def calling(workshop: Workshop, tmp_path: Path) -> Calling:
    return load_hook(tmp_path, CODE.replace("TIMEOUT", "600").replace("MEMORY", "None"), workshop)


@pytest.fixture
def impatient(calling: Calling) -> Calling:
    """The same hook in the same process, for files that do not end."""
    return hurried(calling, 0.5)


def hurried(calling: Calling, timeout_s: float) -> Calling:
    return replace(calling, declared=replace(calling.declared, timeout_s=timeout_s))


async def do(calling: Calling, folder: Path, statements: str, run_id: int = 1) -> End:
    return await calling.deliver(attempt_of(folder, statements.encode(), run_id=run_id))


async def process_of(calling: Calling, folder: Path) -> int:
    """Deliver a harmless file; return the process that ran it."""
    end = await do(calling, folder, "")
    assert isinstance(end, Done)
    return int(end.result.message or "")


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_the_process_of_a_hook_is_kept_for_the_next_delivery(calling: Calling, tmp_path: Path) -> None:
    first = await process_of(calling, tmp_path)

    assert await do(calling, tmp_path, "int('x')") != Done(Result(str(first)))
    assert await process_of(calling, tmp_path) == first


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("os._exit(3)", "its process exited with 3"),
        ("os._exit(0)", "its process exited with 0"),
        ("import ctypes; ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL"),
        ("os.abort()", "its process was ended by SIGABRT"),
        ("os.execvp('true', ['true'])", "its process exited with 0"),
    ],
)
@pytest.mark.logs("hook_failed")
async def test_a_hook_whose_process_ends_is_tried_again_in_a_new_one(
    calling: Calling, tmp_path: Path, statement: str, error: str
) -> None:
    first = await process_of(calling, tmp_path)

    end = await do(calling, tmp_path, statement)
    assert end == Again("The hook ended unexpectedly. Tell the operator: the log has the cause.", error)
    assert is_gone(first)
    assert await process_of(calling, tmp_path) != first


@pytest.mark.parametrize("statement", ["while True: pass", "time.sleep(10_000)", "os.read(os.pipe()[0], 1)"])
async def test_a_hook_that_does_not_end_is_ended(
    calling: Calling, impatient: Calling, tmp_path: Path, statement: str
) -> None:
    first = await process_of(calling, tmp_path)

    end = await do(impatient, tmp_path, statement)
    assert isinstance(end, Again)
    assert is_gone(first)
    assert await process_of(calling, tmp_path) != first


async def test_a_signal_for_all_processes_of_the_server_ends_no_hook(calling: Calling, tmp_path: Path) -> None:
    """`systemctl stop` may send SIGTERM to all. Processes that a hook forks end by it, as they are used to."""
    statements = """
os.kill(os.getpid(), signal.SIGTERM)
if (child := os.fork()) == 0:
    time.sleep(10_000)
os.kill(child, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
"""
    assert isinstance(await do(calling, tmp_path, statements), Done)


async def test_a_hook_that_eats_memory_gets_an_error(workshop: Workshop, tmp_path: Path) -> None:
    code = CODE.replace("TIMEOUT", "600").replace("MEMORY", "256 << 20")
    calling = load_hook(tmp_path, code, workshop)
    first = await process_of(calling, tmp_path)

    end = await do(calling, tmp_path, "eaten = []\nwhile True: eaten.append(bytearray(1 << 20))")
    assert isinstance(end, Again)
    assert end.error == "MemoryError"
    assert await process_of(calling, tmp_path) != first


async def test_a_hook_that_prints_a_gigabyte_is_done(calling: Calling, tmp_path: Path) -> None:
    statements = "row = 'x' * (1 << 20)\nfor _ in range(500): print(row); print(row, file=sys.stderr)"

    assert isinstance(await do(calling, tmp_path, statements), Done)


@pytest.mark.parametrize("start", ["pass", "if os.fork(): os._exit(0)"], ids=["forks", "forks twice"])
@pytest.mark.parametrize("copy", ["time.sleep(10_000)", "os.setsid(); time.sleep(10_000)"], ids=["stays", "leaves"])
async def test_what_a_hook_forks_ends_with_its_run(calling: Calling, tmp_path: Path, start: str, copy: str) -> None:
    first = await process_of(calling, tmp_path)
    statements = f"""
pid = Path({str(tmp_path)!r}, "pid")
if os.fork() == 0:
    {start}
    {copy.replace("time.sleep", "pid.write_text(str(os.getpid()) + '.'); time.sleep")}
while not (pid.exists() and pid.read_text().endswith(".")):
    time.sleep(0.01)
"""
    assert await do(calling, tmp_path, statements) == Done(Result(str(first)))
    assert is_gone(int((tmp_path / "pid").read_text()[:-1]))
    assert is_gone(first)


async def test_a_thread_that_a_hook_leaves_ends_with_its_run(calling: Calling, tmp_path: Path) -> None:
    """The next run may be of another company: the log gave it what the thread printed."""
    first = await process_of(calling, tmp_path)
    leave = "import threading\nthreading.Thread(target=time.sleep, args=[10_000], daemon=True).start()"

    assert await do(calling, tmp_path, leave) == Done(Result(str(first)))
    assert is_gone(first)


async def test_the_process_of_a_hook_is_kept_if_its_threads_ended(calling: Calling, tmp_path: Path) -> None:
    first = await process_of(calling, tmp_path)
    statements = "for _ in range(20): asyncio.run(asyncio.to_thread(time.sleep, 0.001))"

    assert await do(calling, tmp_path, statements) == Done(Result(str(first)))
    assert await process_of(calling, tmp_path) == first


async def test_a_copy_that_a_hook_forks_answers_nothing(calling: Calling, tmp_path: Path) -> None:
    first = await process_of(calling, tmp_path)

    assert await do(calling, tmp_path, "if os.fork(): time.sleep(0.2)") == Done(Result(str(first)))
    assert await process_of(calling, tmp_path) != first


async def test_a_hook_that_forks_without_end_is_ended(calling: Calling, impatient: Calling, tmp_path: Path) -> None:
    """Each process starts one more and ends, so that only killing all at once ends them."""
    first = await process_of(calling, tmp_path)
    bomb = "if os.fork() == 0:\n while True:\n  if os.fork(): time.sleep(0.002); os._exit(0)\ntime.sleep(10_000)"

    end = await do(impatient, tmp_path, bomb)
    assert isinstance(end, Again)
    assert is_gone(first)


async def test_a_hook_that_fills_the_process_table_is_ended(calling: Calling, tmp_path: Path) -> None:
    first = await process_of(calling, tmp_path)

    fork = "\n try:\n  if os.fork() == 0: time.sleep(10_000)\n except OSError: pass\n time.sleep(0.0005)"
    end = await do(calling, tmp_path, f"while True:{fork}")
    assert isinstance(end, Again)
    assert end.error == "its process was ended by SIGKILL"
    assert is_gone(first)


@pytest.mark.parametrize(
    "statement",
    [
        "os.closerange(3, 1000)",
        "for fd in range(3, 1000):\n try: os.write(fd, b'rubbish\\n')\n except OSError: pass",
        "for fd in range(3, 1000):\n try: os.write(fd, b'[]\\n')\n except OSError: pass",
        "for fd in range(3, 1000):\n try: os.write(fd, b'{\"done\": 1}\\n')\n except OSError: pass",
    ],
)
async def test_a_hook_that_disturbs_its_connection_hurts_only_itself(
    calling: Calling, tmp_path: Path, statement: str
) -> None:
    assert isinstance(await do(calling, tmp_path, statement), Again)
    assert await process_of(calling, tmp_path)


async def test_a_hook_sees_the_environment_without_the_settings_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCOUNT_SMTP_URL", "smtp://ann:secret@mail")
    monkeypatch.setenv("headcount_http_port", "1")
    monkeypatch.setenv("BANK_URL", "https://bank.example")
    monkeypatch.syspath_prepend(str(tmp_path))
    workshop = Workshop(Pool(environment_of_hooks()))
    calling = load_hook(tmp_path, CODE.replace("TIMEOUT", "600").replace("MEMORY", "None"), workshop)
    out = tmp_path / "out"

    await do(calling, tmp_path, f"Path({str(out)!r}).write_text(repr([dict(os.environ), sys.stdin.read()]))")
    environment, read = eval(out.read_text())
    assert environment["BANK_URL"] == "https://bank.example"
    assert not [name for name in environment if name.upper().startswith("HEADCOUNT")]
    assert read == ""
    await workshop.close()


async def test_a_hook_imports_as_the_server_does(calling: Calling, tmp_path: Path) -> None:
    (tmp_path / "beside_the_hook.py").write_text("X = 1")
    out = tmp_path / "out"
    statements = "import beside_the_hook, headcount\nfound = [sys.path, headcount.__file__]"

    assert isinstance(await do(calling, tmp_path, f"{statements}\nPath({str(out)!r}).write_text(repr(found))"), Done)
    assert eval(out.read_text()) == [absolute_path(), headcount.__file__]


async def test_packages_with_the_names_of_the_servers_hurt_no_hook(calling: Calling, tmp_path: Path) -> None:
    for name in ("server", "ground", "headcount", "asyncio"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit")

    assert isinstance(await do(calling, tmp_path, "import server, ground"), Done)


async def test_a_hook_that_changes_its_folder_still_finds_files(
    calling: Calling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = await process_of(calling, Path())

    assert isinstance(await do(calling, Path(), "os.chdir('/')"), Done)
    assert await process_of(calling, Path()) == first


async def test_the_last_words_of_a_process_are_in_the_log_for_debugging(
    calling: Calling, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = tmp_path / "marker"
    words = f"print('the last words', flush=True)\nPath({str(marker)!r}).touch()\n"

    async def says_them(end: str, timeout_s: float) -> bool:
        """Return whether the hook had the time to print them; then they are in the log."""
        marker.unlink(missing_ok=True)
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "server.runs.python.calling"):
            await do(hurried(calling, timeout_s), tmp_path, words + end)
        assert "The hook invoices printed: the last words" in caplog.messages or not marker.exists()
        return marker.exists()

    assert await says_them("import ctypes; ctypes.string_at(0)", 600)
    sleep = "time.sleep(10_000)"  # on a slow machine it needs longer to begin
    assert await says_them(sleep, 0.5) or await says_them(sleep, 8) or await says_them(sleep, 30)


async def test_a_module_that_can_no_longer_be_imported_is_tried_again(
    calling: Calling, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / f"{calling.module}.py"
    good = file.read_text()
    file.write_text("raise ValueError('a secret')")

    end = await do(calling, tmp_path, "")
    assert isinstance(end, Again)
    assert end.error == "its module cannot be imported: ValueError: a secret"
    (record,) = [each for each in caplog.records if each.name == "server.runs.python.calling"]
    assert record.getMessage() == "The hook invoices failed: its module cannot be imported."
    assert vars(record)["traceback"].endswith("\nValueError")
    file.write_text(good)
    assert await process_of(calling, tmp_path)


async def test_a_module_whose_import_does_not_end_is_ended(
    calling: Calling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LOAD_S", 0.5)
    (tmp_path / f"{calling.module}.py").write_text("import time; time.sleep(10_000)")

    end = await do(calling, tmp_path, "")
    assert isinstance(end, Again)
    assert end.error == "its module was not imported within 0.5 s"


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workshop]:
    """A workshop of two deliveries at once, whose processes are not kept."""
    monkeypatch.syspath_prepend(str(tmp_path))
    workshop = Workshop(Pool(environment_of_hooks(), deliveries_at_once=2, idle_s=0))
    yield workshop
    await workshop.close()


async def test_an_idle_process_is_ended_after_a_while(small: Workshop, tmp_path: Path) -> None:
    calling = load_hook(tmp_path, CODE.replace("TIMEOUT", "600").replace("MEMORY", "None"), small)
    first = await process_of(calling, tmp_path)

    await eventually(lambda: is_gone(first))
    assert await process_of(calling, tmp_path) != first


async def test_only_so_many_idle_processes_are_kept(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MOST_IDLE", 1)
    code = CODE.replace("TIMEOUT", "600").replace("MEMORY", "None")
    one, two = (load_hook(tmp_path, code, workshop) for _ in range(2))
    oldest = await process_of(one, tmp_path)
    newest = await process_of(two, tmp_path)

    await eventually(lambda: is_gone(oldest))
    assert await process_of(two, tmp_path) == newest


async def test_two_deliveries_run_at_once_and_others_wait(small: Workshop, tmp_path: Path) -> None:
    calling = load_hook(tmp_path, CODE.replace("TIMEOUT", "600").replace("MEMORY", "None"), small)
    started = tmp_path / "started"
    started.mkdir()
    statements = f"""
folder = Path({str(started)!r})
(folder / str(os.getpid())).touch()
while not (folder / "go").exists():
    time.sleep(0.01)
"""
    tasks = [asyncio.create_task(do(calling, tmp_path, statements, run_id)) for run_id in range(1, 6)]
    await eventually(lambda: len(os.listdir(started)) == 2)
    tasks[0].cancel()
    await eventually(lambda: len(os.listdir(started)) == 3)
    assert not any(task.done() for task in tasks[1:])

    (started / "go").touch()
    ends = await asyncio.gather(*tasks[1:])
    assert all(isinstance(end, Done) for end in ends)


async def test_a_hook_that_blocks_delays_no_other_hook(small: Workshop, tmp_path: Path) -> None:
    code = CODE.replace("TIMEOUT", "600").replace("MEMORY", "None")
    blocking, other = (load_hook(tmp_path, code, small) for _ in range(2))
    blocked = [asyncio.create_task(do(blocking, tmp_path, "time.sleep(10_000)", run_id)) for run_id in (1, 2, 3)]

    assert isinstance(await do(other, tmp_path, "", run_id=4), Done)
    for task in blocked:
        task.cancel()
    await asyncio.wait(blocked)


async def test_closing_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    workshop = Workshop(Pool(environment_of_hooks()))
    calling = load_hook(tmp_path, CODE.replace("TIMEOUT", "600").replace("MEMORY", "None"), workshop)
    idle = await process_of(calling, tmp_path)
    running = asyncio.create_task(do(calling, tmp_path, "time.sleep(0.3)"))
    await asyncio.sleep(0)

    await workshop.close()
    end = await running
    assert isinstance(end, Done)
    await eventually(lambda: is_gone(idle))
    assert is_gone(int(end.result.message or ""))


KILLED = """
import asyncio, sys
from pathlib import Path
from server.runs.python.calling import Workshop
from server.runs.python.pool import Pool, absolute_path
from tests.support.hook_modules import attempt_of, load_hook

async def main(folder):
    sys.path.insert(0, str(folder))
    calling = load_hook(folder, (folder / "code").read_text(), Workshop(Pool({})))
    await calling.deliver(attempt_of(folder, (folder / "statements").read_bytes()))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_hook_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "code").write_text(CODE.replace("TIMEOUT", "600").replace("MEMORY", "None"))
    pids = tmp_path / "pids"
    write = f"with open({str(pids)!r}, 'a') as out: print(os.getpid(), file=out)"
    (tmp_path / "statements").write_text(f"if os.fork() == 0: os.setsid()\n{write}\ntime.sleep(9999)")
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT) as server:
        wait_until(lambda: pids.exists() and pids.read_text().count("\n") == 2)
        server.kill()
    wait_until(lambda: all(map(is_gone, map(int, pids.read_text().split()))))


async def test_other_work_goes_on_while_a_hook_starts_and_blocks(calling: Calling, tmp_path: Path) -> None:
    """The loop turns many times meanwhile: nothing waits for the process in the loop itself."""
    go = tmp_path / "go"
    blocks = f"while not Path({str(go)!r}).exists(): pass"
    running = asyncio.create_task(do(hurried(calling, 60), tmp_path, blocks))
    for _ in range(100):
        await asyncio.sleep(0.001)

    assert not running.done()
    go.touch()
    assert isinstance(await running, Done)
