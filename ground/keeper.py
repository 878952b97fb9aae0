"""Keep one program that the server started: run as a process of its own, between the server and the program.

`ground.children` starts it as `python -I -S keeper.py SERVER ALIVE MEMORY LOCALE -- ARGUMENTS`: the process id of the
server, a descriptor that stays open while this process lives, the limit of memory in bytes (0: none), and whether
LC_CTYPE is part of the environment.

The program and all that it starts end with the program itself, with the server, even if that is killed, and with
SIGUSR1 to this process. It ignores the other signals: some that are for the server reach all its processes. The
kernel gives orphans to this process, also those that left the group of the program. Then it ends as the program did,
by the same exit code or signal. A program that cannot be started exits with 127.

It imports only what it needs of the standard library: it is started for every program.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

END = signal.SIGUSR1
AWAITED = {END, signal.SIGCHLD}

MOST_PROCESSES = 256
"""A program that forks without end is killed when it has more."""

LOOK_EVERY_S = 0.25
"""How often its processes are counted, in seconds."""

NOT_STARTED = 127
"""The exit code for a program that cannot be started, as of a shell; its standard error says why."""

MOST_DESCRIPTORS = 1 << 20

KILLED_FIRST = "500"
"""Added to the score of the program when the kernel has no memory left and looks for a process to kill."""


def main(parent: int, alive: int, memory: int, has_locale: bool, arguments: list[str]) -> None:
    """Run the program, wait for its end, kill what it left behind, and end as it did."""
    os.set_inheritable(alive, False)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())  # first: from here on, none is missed
    _end_with(parent, END)
    _control(PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    program = os.fork()
    if program == 0:
        _become(keeper, memory, has_locale, arguments)
    _let_go_of_its_files(alive)
    end_as(_watch(program))


def _end_with(parent: int, sign: signal.Signals) -> None:
    """Get `sign` when the parent ends; end now if it has ended already."""
    _control(PR_SET_PDEATHSIG, sign)
    if os.getppid() != parent:
        os._exit(NOT_STARTED)


def _control(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _become(keeper: int, memory: int, has_locale: bool, arguments: list[str]) -> None:
    """Become the program. Never returns."""
    try:
        _end_with(keeper, signal.SIGKILL)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump holds cells of files
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write(KILLED_FIRST)
        if not has_locale:
            os.unsetenv("LC_CTYPE")  # this Python sets it in an environment without a locale
        for sign in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(sign, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(arguments[0], arguments)  # noqa: S606 - no shell is what is wanted
    except (OSError, ValueError) as error:
        with suppress(OSError):
            os.write(2, f"{arguments[0]}: {error}\n".encode())
    finally:
        os._exit(NOT_STARTED)


def _let_go_of_its_files(alive: int) -> None:
    """Close the descriptors of the program here, so that the server sees when the program closes them."""
    os.closerange(3, alive)
    os.closerange(alive + 1, MOST_DESCRIPTORS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _watch(program: int) -> int:
    """Wait until the program has ended, has too many processes or shall end; kill all; return the wait status."""
    calm = _threads()
    while not _has_ended(program):
        got = signal.sigtimedwait(AWAITED, LOOK_EVERY_S)
        if got and got.si_signo == END:
            break
        calm = min(calm, now := _threads())
        if now > calm + MOST_PROCESSES:  # only then: it takes long to look at all processes of a machine
            if _are_too_many():
                break
            calm = now
    with suppress(OSError):  # the group at once, so that none of it can fork; its number is taken until the wait
        os.killpg(program, signal.SIGKILL)
    with suppress(OSError):  # it may not lead a group yet
        os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    kill_all_children()
    return status


def _has_ended(program: int) -> bool:
    """Return whether the program has ended, and release other children that have. The program is not released."""
    while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if found.si_pid == program:
            return True
        os.waitpid(found.si_pid, 0)
    return False


def kill_all_children() -> None:
    """Kill the children of this process, and theirs that become its own thereby, until there are none.

    Those that may not be killed (they run as another user) are left.
    """
    while True:
        killed = [child for child in _children() if _kill(child)]
        if not killed:
            return
        for child in killed:
            os.waitpid(child, 0)


def _children() -> list[int]:
    own = os.getpid()
    return [process for process, parent in _parents().items() if parent == own]


def _threads() -> int:
    """Return the number of threads of this machine; 0 if that cannot be read."""
    with suppress(OSError, ValueError, IndexError), open("/proc/loadavg", "rb") as file:
        return int(file.read().split(b"/")[1].split()[0])
    return 0


def _are_too_many() -> bool:
    """Return whether more than MOST_PROCESSES descend from this process."""
    parents = _parents()
    descendants, found = {os.getpid()}, 0
    while found < len(descendants) <= MOST_PROCESSES:
        found = len(descendants)
        descendants.update(process for process, parent in parents.items() if parent in descendants)
    return len(descendants) > MOST_PROCESSES


def _parents() -> dict[int, int]:
    """Return the parent of each process."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def _kill(child: int) -> bool:
    """Kill a child and its process group, if it has one of its own."""
    try:
        if (group := os.getpgid(child)) != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
    except OSError:
        return False
    return True


def end_as(status: int) -> None:
    """End this process by the exit code or signal of a wait status."""
    if os.WIFSIGNALED(status):
        sign = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # SIGKILL cannot be set
            signal.signal(sign, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {sign})
        os.kill(os.getpid(), sign)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1", sys.argv[6:])
