"""Seconds in which a machine had time for its processes: for what servers promise to do within seconds.

with Stopwatch(nodes) as watch:
    ...  # the servers do it
    assert watch.seconds() < 2.0
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from types import TracebackType

from tests.support.cluster import ClusterNode
from tests.support.waiting import DEADLINE_S

TICK_S = 0.05
USUAL_S = 0.15
"""The longest usual time of a tick: it sleeps for `TICK_S`, and asks a server whether it lives."""


class Stopwatch:
    """The time since its context began, without the time for which a server, or this process, stood still."""

    def __init__(self, servers: Sequence[ClusterNode]) -> None:
        self._began = time.monotonic()
        self._ticked = [self._began] * len(servers)
        self._stood_still = [0.0] * len(servers)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._tick, args=each) for each in enumerate(servers)]

    def __enter__(self) -> Stopwatch:
        self._began = time.monotonic()
        self._ticked = [self._began for _ in self._ticked]
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def seconds(self) -> float:
        now = time.monotonic()
        late = (still + _late(now - at) for still, at in zip(self._stood_still, self._ticked, strict=True))
        return now - self._began - max(late)

    def _tick(self, number: int, server: ClusterNode) -> None:
        with closing(HTTPConnection(server.host, server.http_port, timeout=DEADLINE_S)) as asking:
            while not self._over.wait(TICK_S):
                try:
                    asking.request("GET", "/healthz")
                    asking.getresponse().read()
                except (OSError, HTTPException):
                    asking.close()  # the next request opens it again
                now = time.monotonic()
                self._stood_still[number] += _late(now - self._ticked[number])
                self._ticked[number] = now


def _late(took_s: float) -> float:
    return max(0.0, took_s - USUAL_S)
