"""Programs that the server starts end with all that they started, and their output is bounded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ground.children import NOT_STARTED, Child, spawn
from tests.support import ROOT
from tests.support.waiting import eventually, wait_until

ENV = {"PATH": os.defpath}
PYTHON = [sys.executable, "-c"]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def pids(child: Child, count: int) -> list[int]:
    """Wait until the child has printed this many process ids, one on each line."""
    await eventually(lambda: child.stdout.kept.count(b"\n") >= count)
    return [int(line) for line in child.stdout.kept.split()]


async def test_a_program_gets_its_arguments_input_and_environment_and_no_more() -> None:
    read, write = os.pipe()
    os.write(write, b"the file")
    os.close(write)
    code = "import os, sys; print(sys.argv[1:], sys.stdin.read(), dict(os.environ)); sys.exit(3)"
    child = spawn([*PYTHON, code, "a b", "$HOME;"], env={"A": "1", "LC_CTYPE": "C.UTF-8"}, stdin=read)
    os.close(read)

    assert await child.wait() == 3
    assert child.stdout.kept.decode() == "['a b', '$HOME;'] the file {'A': '1', 'LC_CTYPE': 'C.UTF-8'}\n"
    assert await child.end() == child.code == 3


async def test_a_program_gets_no_locale_that_its_environment_does_not_have() -> None:
    child = spawn(["env"], env={"PATH": os.defpath})
    await child.wait()

    assert child.stdout.kept.decode() == f"PATH={os.defpath}\n"


async def test_a_program_that_is_not_there_says_so_and_exits_with_127() -> None:
    child = spawn(["/no/such/program"], env=ENV)

    assert await child.wait() == NOT_STARTED
    assert child.stderr.kept == b"/no/such/program: [Errno 2] No such file or directory\n"


def test_an_argument_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        spawn(["echo", "a\0b"], env=ENV)


@pytest.mark.parametrize("sign", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
async def test_a_program_that_a_signal_ends_is_reported_as_such(sign: signal.Signals) -> None:
    child = spawn([*PYTHON, f"import os; os.kill(os.getpid(), {int(sign)})"], env=ENV)

    assert await child.wait() == -sign


async def test_a_gigabyte_of_output_is_read_and_its_beginning_kept() -> None:
    child = spawn(["head", "-c", "1000000000", "/dev/zero"], env=ENV, keep_stdout=100)

    assert await child.wait() == 0
    assert child.stdout.total == 1_000_000_000
    assert child.stdout.kept == bytes(100)


async def test_the_limit_of_memory_is_that_of_the_program() -> None:
    code = "import resource; print(*resource.getrlimit(resource.RLIMIT_AS)); bytearray(400 << 20)"
    child = spawn([*PYTHON, code], env=ENV, max_memory_bytes=300 << 20)

    assert await child.wait() == 1
    assert child.stdout.kept.split() == [b"314572800"] * 2
    assert b"MemoryError" in child.stderr.kept


async def test_a_program_is_killed_before_the_server_when_memory_runs_out() -> None:
    child = spawn(["cat", "/proc/self/oom_score_adj"], env=ENV)
    await child.wait()

    assert child.stdout.kept == b"500\n"


LEAVES_TWO_BEHIND = """
import os, sys, time
for start in (lambda: None, os.setsid):
    if (child := os.fork()) == 0:
        start()
        time.sleep(10_000)
    print(child, flush=True)
"""


async def test_what_a_program_leaves_behind_ends_with_it() -> None:
    child = spawn([*PYTHON, LEAVES_TWO_BEHIND], env=ENV)

    assert await child.wait() == 0
    left = await pids(child, 2)
    assert len(left) == 2
    assert not any(map(is_alive, left))


async def test_a_program_and_all_that_it_started_is_ended() -> None:
    code = f"{LEAVES_TWO_BEHIND}\nprint(os.getpid(), flush=True)\ntime.sleep(10_000)"
    child = spawn([*PYTHON, code], env=ENV)
    running = await pids(child, 3)
    assert all(map(is_alive, running))

    assert await child.end() == -signal.SIGKILL
    assert not any(map(is_alive, running))


async def test_a_program_that_refuses_every_signal_is_ended() -> None:
    ignore = "import signal\nfor each in {*range(1, 32)} - {9, 19}: signal.signal(each, signal.SIG_IGN)"
    child = spawn([*PYTHON, f"{ignore}\nimport time; print(1, flush=True); time.sleep(10_000)"], env=ENV)
    await pids(child, 1)

    assert await child.end() == -signal.SIGKILL


async def test_a_program_that_forks_without_end_is_ended() -> None:
    """Each process forks one more and ends, so none is there long enough to be killed by its number."""
    code = "import os, time\nprint(0, flush=True)\nwhile True:\n if os.fork(): time.sleep(0.001); os._exit(0)\n"
    hydra = f"import os\nif os.fork() == 0:\n exec({code!r})\nimport time; time.sleep(10_000)"
    child = spawn([*PYTHON, hydra], env=ENV)
    await pids(child, 1)

    assert await child.end() == -signal.SIGKILL
    assert not Path(f"/proc/{child.pid}").exists()


@pytest.mark.parametrize("start", ["", "os.setsid(); os.fork() and os._exit(0)"], ids=["children", "orphans"])
async def test_a_program_with_too_many_processes_is_ended(start: str) -> None:
    code = (
        f"import os, time\nwhile True:\n if os.fork() == 0:\n  {start or 0}; time.sleep(10_000)\n time.sleep(0.0005)"
    )
    child = spawn([*PYTHON, code], env=ENV)

    assert await child.wait() == -signal.SIGKILL


async def test_a_program_with_some_processes_is_not_ended() -> None:
    code = "import os, time\nfor _ in range(200):\n if os.fork() == 0: time.sleep(1); os._exit(0)\ntime.sleep(1)"

    assert await spawn([*PYTHON, code], env=ENV).wait() == 0


async def test_a_child_can_be_ended_while_it_starts() -> None:
    child = spawn(["sleep", "10000"], env=ENV)

    assert await child.end() in {-signal.SIGUSR1, -signal.SIGKILL}


async def test_a_signal_for_all_processes_of_the_server_ends_no_keeper() -> None:
    """`systemctl stop` may send it to all: the server still decides when its programs end."""
    child = spawn([*PYTHON, "print(1, flush=True); input()"], env=ENV, stdin=(pipe := os.pipe())[0])
    await pids(child, 1)
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(child.pid, sign)
    os.write(pipe[1], b"\n")
    os.close(pipe[0])
    os.close(pipe[1])

    assert await child.wait() == 0


async def test_a_child_that_is_gone_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await spawn(["true"], env=ENV).wait()

    assert len(os.listdir("/proc/self/fd")) <= before  # objects of earlier tests may close theirs meanwhile


async def test_a_program_gets_the_descriptors_it_shall_have_and_only_those() -> None:
    read, write = os.pipe()
    child = spawn([*PYTHON, "import os, sys; print(os.read(int(sys.argv[1]), 9), os.listdir('/proc/self/fd'))",
                   str(read)], env=ENV, descriptors=[read])  # fmt: skip
    os.write(write, b"hello")
    await child.wait()
    os.close(read)
    os.close(write)

    text, found = child.stdout.kept.decode().split(maxsplit=1)
    assert text == "b'hello'"
    assert set(eval(found)) <= {"0", "1", "2", str(read), "3", "4"}


SERVER = """
import asyncio, sys, time
from ground.children import spawn

async def main():
    child = spawn(sys.argv[2:], env={"PATH": "/bin"})
    while child.stdout.kept.count(b"\\n") < int(sys.argv[1]):
        await asyncio.sleep(0.01)
    print(child.stdout.kept.decode(), child.pid, sep="", flush=True)
    time.sleep(10_000)

asyncio.run(main())
"""


def test_children_and_theirs_end_with_a_server_that_is_killed() -> None:
    code = f"{LEAVES_TWO_BEHIND}\nprint(os.getpid(), flush=True)\ntime.sleep(10_000)"
    with subprocess.Popen(
        [*PYTHON, SERVER, "3", *PYTHON, code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        running = [int(server.stdout.readline()) for _ in range(4)]
        assert all(map(is_alive, running))
        server.kill()
    wait_until(lambda: not any(map(is_alive, running)))


@pytest.mark.parametrize("moment_s", [0, 0.002, 0.005, 0.01, 0.02, 0.04])
def test_a_child_does_not_outlive_a_server_that_is_killed_as_it_starts(moment_s: float) -> None:
    command = [*PYTHON, SERVER, "0", "sleep", "98761"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        server.stdout.readline()
        time.sleep(moment_s)
        server.kill()
    wait_until(lambda: not sleepers())


def sleepers() -> list[int]:
    """Return the processes that sleep as the previous test asked, or are about to."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if b"98761" in command_line(pid) and is_alive(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
