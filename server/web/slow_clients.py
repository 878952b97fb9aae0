"""Limit how long an HTTP client may keep the server waiting, and answer a client that does not speak HTTP.

A silent client holds a descriptor, and uploads need descriptors, too. A connection ends when the head of a request is
late, when no more of a body arrives, or when the client does not take the end of an answer. The number of connections
is limited in crowd.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.web.door import Caller, Door
from server.web.http_problem import HttpProblem
from server.web.lingering import Lingering

HEAD_S = 20.0
"""The time for the head of a request, from the connection or the end of the previous answer."""

STALLED_S = 75.0
"""The time without progress, sending or receiving. The timeouts of routes are shorter, and answer with a sentence."""

BROKEN_BODY = HttpProblem(
    400, "The body ended before its Content-Length, or before its last chunk. Send it again.", code="broken_body"
)

READ_BYTES = 32 * 1024
"""The bytes read from a socket at once. Asyncio's 256 KiB may hold 44,000 tiny chunks of a body. They are parsed in
Python, and would block all other clients for a third of a second."""


class PatientProtocol(H11Protocol):
    """One connection of uvicorn; every request of it has the `Caller` in its state."""

    _waiting: asyncio.TimerHandle | None = None
    _untaken = 0
    _caller: Caller | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        door: Door,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._lingering = Lingering(transport, self._may_send)
        super().connection_made(self._lingering)  # type: ignore[arg-type]  # all of a transport that uvicorn uses
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # an attribute of asyncio's; a test checks it
        self._wait(HEAD_S)
        self._caller = self._door.enter(self.client[0] if self.client else None, transport.abort)
        self.app_state = {**self.app_state, "caller": self._caller}

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._lingering.ended()
        if self._caller:
            self._door.leave(self._caller)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering.lingers:
            self._lingering.drop(len(data))
            return
        super().data_received(data)
        self._look()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads it
        """Answer a client that ends its side: 400 before the end of a body. Return whether an answer still comes.

        A client that sent a complete body may do so, and waits for the answer; then the connection is closed. A
        client without a body has left: it follows events, or waits for an import.
        """
        if not self._is_answering():
            return False
        if not self.cycle.more_body:
            self.cycle.keep_alive = False
            return self.cycle.scope["method"] not in ("GET", "HEAD")
        self._disconnect()
        if self.conn.our_state is h11.SEND_RESPONSE:
            answer = BROKEN_BODY.answer()
            headers = [*answer.raw_headers, (b"connection", b"close")]
            body = (h11.Data(data=bytes(answer.body)), h11.EndOfMessage())
            for event in (h11.Response(status_code=answer.status_code, headers=headers), *body):
                self.transport.write(self.conn.send(event))
        return False

    def shutdown(self) -> None:
        if self._lingering.lingers:
            self.transport.close()
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """End the connection of a client that does not speak HTTP; answer 400 unless an answer has begun.

        uvicorn answers in any state. During or after another answer, that raises an error in h11, and the app fails
        at its own answer.
        """
        may_answer = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if self._is_answering():
            self._disconnect()
        if may_answer:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _disconnect(self) -> None:
        """Let the app see that the client has disconnected: it stops reading, and what it sends is dropped."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _may_send(self) -> bool:
        """Return whether the client may send more of a request that is no longer read."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def _look(self) -> None:
        """Start or stop the timer for what the client must do next."""
        if self._is_answering():
            self._stop_waiting()
            if self.cycle.more_body:
                self._wait(STALLED_S)
        elif self._waiting is None:  # a few bytes of a head do not extend the time
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
        reading_paused = self._is_answering() and self.flow.read_paused
        if reading_paused or 0 < self.transport.get_write_buffer_size() < self._untaken:
            self._wait(STALLED_S)
        else:
            self.transport.abort()
