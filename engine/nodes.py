"""The protocol of one server among those that share the same data."""

from __future__ import annotations

from typing import Protocol


class Node(Protocol):
    """This server among those that share its data."""

    @property
    def shares(self) -> bool:
        """Whether other servers may work on the same data."""

    def leads(self) -> bool:
        """Return whether this server does what only one of them must do, such as sending mails."""

    async def bury(self, patience_s: float) -> None:
        """Let go of the work of servers that have not been heard of for `patience_s`: others may take it up.

        Their open transactions are ended. Raises TryAgain.
        """


class OnlyNode:
    """The node of a server that shares its data with no other, and of a command."""

    shares = False

    def leads(self) -> bool:
        return True

    async def bury(self, patience_s: float) -> None:
        pass


ONLY_NODE = OnlyNode()
