"""How long a client of HTTP may keep us waiting, and how many may be there: uploads need the same descriptors.

Whoever connects and says nothing holds a descriptor like whoever is answered. So a connection ends when the head of a
request is not there in time, when nothing more comes of a body, or when nobody takes the end of an answer; and beyond
the most there may be, at once.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""So long after it has come, or has had its last answer, a client may take to have sent the head of a request."""

STALLED_S = 75.0
"""So long nothing may come, or be taken. Longer than those wait who read a body: they have a sentence to say."""

ANSWERED_MOST = 1000
"""More connections at once are answered 503, so that no crowd of readers takes the descriptors of uploads."""

CONNECTIONS_MOST = ANSWERED_MOST + 200
"""More at once are closed without a word."""


class PatientProtocol(H11Protocol):
    """One connection, as uvicorn makes them."""

    _waiting: asyncio.TimerHandle | None = None
    _untaken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MOST:
            transport.abort()
        else:
            self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        """Wait for whatever the client has to do next, if it has to do something."""
        if self._is_answering():
            self._stop_waiting()
            if self.cycle.more_body:
                self._wait(STALLED_S)
        elif self._waiting is None:  # however little of a head comes, it is not waited for any longer
            self._wait(STALLED_S if self.transport.get_write_buffer_size() else HEAD_S)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self, seconds: float) -> None:
        self._untaken = self.transport.get_write_buffer_size()
        self._waiting = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        we_do_not_read = self._is_answering() and self.flow.read_paused
        if we_do_not_read or 0 < self.transport.get_write_buffer_size() < self._untaken:
            self._wait(STALLED_S)
        else:
            self.transport.abort()
