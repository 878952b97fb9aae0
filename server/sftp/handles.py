"""Count the files and folders that clients have open: per connection, per tenant, and in all. Pure."""

from __future__ import annotations

from collections import Counter

STEP_BYTES = 512 * 1024
LEAST_READ, MOST_READ = 16 * 1024, 64 * 1024


def read_at_once(open_handles: int) -> int:
    """Return how many bytes of one connection to read in one step while `open_handles` are open.

    The more handles are open, the fewer bytes: then one step of every connection takes a few milliseconds in all.
    """
    return min(MOST_READ, max(LEAST_READ, STEP_BYTES // max(1, open_handles)))


class TooManyHandles(Exception):  # noqa: N818 - the name of a state
    """No more files can be opened now. The message is for the client."""


class Handles:
    """The open handles of all connections. A file takes one descriptor, a folder two."""

    def __init__(self, of_connection: int, of_tenant: int, descriptors: int) -> None:
        self.of_connection = of_connection
        self.of_tenant = of_tenant
        self._descriptors = descriptors
        self._taken = 0
        self._by_tenant: Counter[str] = Counter()

    @property
    def most(self) -> int:
        """Return how many handles one connection may have open."""
        return min(self.of_connection, self.of_tenant)

    @property
    def taken(self) -> int:
        """Return how many descriptors the handles of all connections take."""
        return self._taken

    def taken_by(self, tenant: str) -> int:
        return self._by_tenant[tenant]

    def take(self, tenant: str, descriptors: int) -> None:
        """Count one more handle. Raises TooManyHandles if it is not allowed; then nothing is counted."""
        if self._by_tenant[tenant] >= self.of_tenant:
            raise TooManyHandles(f"Too many open files: at most {self.of_tenant:,} in all connections together")
        if self._taken + descriptors > self._descriptors:
            raise TooManyHandles("Too many open files on the server. Try again later.")
        self._by_tenant[tenant] += 1
        self._taken += descriptors

    def release(self, tenant: str, descriptors: int) -> None:
        """Count one handle fewer."""
        self._taken -= descriptors
        self._by_tenant[tenant] -= 1
        if not self._by_tenant[tenant]:
            del self._by_tenant[tenant]


class ConnectionHandles:
    """The open handles of one connection, in all its channels."""

    def __init__(self, handles: Handles, tenant: str) -> None:
        self._handles = handles
        self._tenant = tenant
        self._open = 0

    @property
    def most(self) -> int:
        return self._handles.most

    def take(self, descriptors: int) -> None:
        """Count one more handle. Raises TooManyHandles if it is not allowed; then nothing is counted."""
        most = self._handles.of_connection
        if self._open >= most:
            raise TooManyHandles(f"Too many open files: at most {most:,} in one connection")
        self._handles.take(self._tenant, descriptors)
        self._open += 1

    def release(self, descriptors: int) -> None:
        """Count one handle fewer."""
        self._open -= 1
        self._handles.release(self._tenant, descriptors)
