"""How many files and folders clients hold open: per connection, per tenant, and in all. Pure."""

from __future__ import annotations

from collections import Counter

STEP_BYTES = 512 * 1024
LEAST_READ, MOST_READ = 16 * 1024, 64 * 1024


def read_at_once(open_handles: int) -> int:
    """How many bytes of one connection are read before it is the next one's turn, while so many handles are open.

    Together they are about as many as take the event loop some milliseconds: so long everybody waits for a step.
    """
    return min(MOST_READ, max(LEAST_READ, STEP_BYTES // max(1, open_handles)))


class TooManyHandles(Exception):  # noqa: N818 - what is the case
    """No further file can be opened now; the message is for the client."""


class Handles:
    """What all connections hold open. A handle takes one descriptor, that of a folder two."""

    def __init__(self, of_connection: int, of_tenant: int, descriptors: int) -> None:
        self.of_connection = of_connection
        self.of_tenant = of_tenant
        self._descriptors = descriptors
        self._taken = 0
        self._by_tenant: Counter[str] = Counter()

    @property
    def most(self) -> int:
        """How many one connection may hold."""
        return min(self.of_connection, self.of_tenant)

    @property
    def taken(self) -> int:
        """How many descriptors all connections hold."""
        return self._taken

    def taken_by(self, tenant: str) -> int:
        return self._by_tenant[tenant]

    def take(self, tenant: str, descriptors: int) -> None:
        """Count one more handle. Raises TooManyHandles, with nothing counted."""
        if self._by_tenant[tenant] >= self.of_tenant:
            raise TooManyHandles(f"Too many open files: at most {self.of_tenant} at once in all sessions together")
        if self._taken + descriptors > self._descriptors:
            raise TooManyHandles("Too many open files: the server has no room for more now. Try again later.")
        self._by_tenant[tenant] += 1
        self._taken += descriptors

    def give_back(self, tenant: str, descriptors: int) -> None:
        """Count one handle less."""
        self._taken -= descriptors
        self._by_tenant[tenant] -= 1
        if not self._by_tenant[tenant]:
            del self._by_tenant[tenant]


class ConnectionHandles:
    """What one connection holds open, over all its channels."""

    def __init__(self, handles: Handles, tenant: str) -> None:
        self._handles = handles
        self._tenant = tenant
        self._open = 0

    @property
    def most(self) -> int:
        return self._handles.most

    def take(self, descriptors: int) -> None:
        """Count one more handle. Raises TooManyHandles, with nothing counted."""
        most = self._handles.of_connection
        if self._open >= most:
            raise TooManyHandles(f"Too many open files: at most {most} at once")
        self._handles.take(self._tenant, descriptors)
        self._open += 1

    def give_back(self, descriptors: int) -> None:
        """Count one handle less."""
        self._open -= 1
        self._handles.give_back(self._tenant, descriptors)
