"""How long a client of HTTP may keep the server waiting, and what it is told that does not speak HTTP.

A silent client holds a descriptor like one that is answered, and uploads need the same ones. So a connection ends
when the head of a request is not there in time, when nothing more comes of a body, or when the client does not take
the end of an answer. How many connections there may be at once is decided in crowd.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.web.door import Caller, Door
from server.web.lingering import Lingering

HEAD_S = 20.0
"""So long after it has come, or has had its last answer, a client may take to have sent the head of a request."""

STALLED_S = 75.0
"""So long nothing may come, or be taken. Longer than those wait who read a body: they have a sentence to say."""


READ_BYTES = 32 * 1024
"""So much is read from a socket at once. A body of tiny chunks is parsed in Python, and asyncio's 256 KiB of it are
44,000 chunks: a third of a second for which no other client is served."""


class PatientProtocol(H11Protocol):
    """One connection, as uvicorn makes them; every request of it has the `Caller` in its state."""

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
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # of asyncio's; a test has it
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

    def shutdown(self) -> None:
        if self._lingering.lingers:
            self.transport.close()
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """End the connection for what is not HTTP; with an answer, unless one has begun.

        uvicorn answers in any state: amid or after another answer that is an error of the library, and the app, which
        knows nothing of it, fails at its own answer.
        """
        may_answer = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if self._is_answering():
            # To the app it is as if the client had gone: it reads no further, and what it sends is dropped.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if may_answer:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _may_send(self) -> bool:
        """Whether there may be more of a request, which nothing reads."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

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
