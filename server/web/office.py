"""What the routes are given to work with, put together once in server/app.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from importer.queue.listing import Listing
from importer.queue.queue import Queue
from keys.host import ShownHostKey
from server.hooks.trials import Trials
from server.settings import ServerSettings
from server.tenants.key_uses import KeyUses
from server.tenants.sign_ins import SignIns
from server.tenants.tenants import Tenants
from server.tenants.tokens import Tokens
from server.upkeep.overview import Overview
from server.web.live import Live
from server.web.slowing import Slowing


@dataclass(frozen=True, slots=True)
class Office:
    """The tenants, their imports and keys as the web side reaches them.

    `queue` is the server's own: a decision taken there wakes the worker. Lists and reports are read through `reader`,
    on a connection of its own, so that nobody who looks holds up an upload. `sftp_port` gives the port that SFTP is
    listening on, and `host_keys` are what it proves itself with. `parts_up` says which parts of the server are up,
    by name.
    """

    settings: ServerSettings
    tenants: Tenants
    tokens: Tokens
    sign_ins: SignIns
    queue: Queue
    reader: Listing
    trials: Trials
    live: Live
    key_uses: KeyUses
    overview: Overview
    host_keys: Sequence[ShownHostKey]
    sftp_port: Callable[[], int]
    parts_up: Callable[[], Awaitable[dict[str, bool]]]
    slowing: Slowing = field(default_factory=Slowing)
