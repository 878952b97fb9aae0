"""Test hooks on a real server: in this process, with its data in a temporary folder.

    from headcount.testing import running

    with running(hooks=[invoices]) as server:
        run = server.put("acme", "/invoices/march.csv", b"number,amount\\n17,12.50\\n")
    assert run.state == "completed"

A file is sent over SFTP, stored and delivered as on any server. Two things differ. A plain function runs in a thread,
so that it sees what the test has patched; `isolation="process"` still gives it a process. And a failed attempt is
followed by the next one at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from headcount.hooks import Message

__all__ = ["Run", "Server", "UploadFailed", "running"]

TIMEOUT_S = 60.0


class UploadFailed(Exception):  # noqa: N818 - named after the state
    """The server refused a file before a hook saw it. The message is the server's."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run of a hook over one file, as it ended.

    `state` is `completed`, `completed_with_errors`, `failed`, `aborted` (refused by `accept`) or `ignored`. `message`
    is what the company reads, `error` what the operator reads. `attempt` counts the attempts. `reports` has what the
    hook reported, by name.
    """

    id: int
    hook: str
    path: str
    state: str
    attempt: int
    message: str | None
    error: str | None
    counts: Mapping[str, int]
    messages: Sequence[Message]
    reports: Mapping[str, bytes] = field(repr=False)


class Server(Protocol):
    """A running server. Tenants are created when they are named first."""

    def put(self, tenant: str, path: str, content: bytes, *, timeout_s: float = TIMEOUT_S) -> Run:
        """Upload `content` to `path`, and return the run when it has ended. Missing folders are created.

        Raises UploadFailed if the server refuses the file, LookupError if no hook has this path, and TimeoutError if
        the run has not ended after `timeout_s` seconds.
        """

    def read(self, tenant: str, path: str) -> bytes:
        """Return a file of the tenant's folder, such as `/results/invoices-1.json`. Raises FileNotFoundError."""

    def configure(self, tenant: str, hook: str, **settings: Any) -> None:
        """Set what the tenant can set for `hook`. Raises ValueError for values that its model refuses."""


@contextmanager
def running(hooks: Sequence[Callable[..., Any]]) -> Iterator[Server]:
    """Start a server with these hooks, and stop it at the end of the block. Its data is deleted then.

    `hooks` are functions that are decorated with `@hook`. Raises ValueError for others, and for hooks that cannot run
    beside each other.
    """
    from headcount.__main__ import load_own_packages

    load_own_packages()
    from headcount._serving import serving

    with serving(hooks) as server:
        yield server
