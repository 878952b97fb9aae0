"""A proxy in front of S3-compatible storage that spoils requests and answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal[
    "refused",
    "busy",
    "silent",
    "unread",
    "unanswered",
    "short",
    "cut",
    "damaged",
    "old",
    "simple",
    "strict",
    "changing",
    "plain",
]
"""A fault of a request.

refused: 403. busy: 500. silent: no answer while the proxy lives. unread: the connection ends before half of the
request is read. unanswered: it is done, and the connection ends. short: half of its body is stored. cut: half of the
body of the answer. damaged: one bit of it is wrong. old: the first answer to the same request, as of a list that
lags. simple: 501 if it has a condition, and plain: its condition is ignored, as storages do that know none. strict:
400 if it has a condition, and changing: 412, as if the object were always another.
"""

Choose = Callable[[str, str], Fault | None]
Headers = list[tuple[str, str]]
REFUSALS: dict[str, tuple[int, str]] = {"busy": (500, "InternalError"), "refused": (403, "AccessDenied")}
OF_CONDITIONS: dict[str, tuple[int, str]] = {
    "simple": (501, "NotImplemented"),
    "strict": (400, "InvalidArgument"),
    "changing": (412, "PreconditionFailed"),
}
CONDITIONS = {"if-match", "if-none-match"}
NOT_PASSED_ON = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class FaultyStorage(ThreadingHTTPServer):
    """The storage at `behind`, through `url`. `choose` gets method and path of a request, and returns its fault."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, str]] = []
        """Method and path of all requests."""
        self.first: dict[str, tuple[int, Headers, bytes]] = {}
        self.ending = threading.Event()
        self.heal()

    def always(self, fault: Fault, *methods: str) -> None:
        """Have this fault with each request of these methods; with all, if none is named."""
        self.choose: Choose = lambda method, path: fault if method in methods or not methods else None

    def next(self, fault: Fault, method: str, times: int = 1) -> None:
        """Have this fault with the next requests of a method."""
        left = iter(range(times))
        self.choose = lambda asked, path: fault if asked == method and next(left, None) is not None else None

    def heal(self) -> None:
        """Have no more faults."""
        self.choose = lambda method, path: None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyStorage

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.server.asked.append((self.command, self.path))
        fault = self.server.choose(self.command, self.path)
        if fault == "unread":
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        body = self.rfile.read(length)[: length // 2 if fault == "short" else None]
        if fault == "silent":
            self.server.ending.wait()
            self.close_connection = True
        elif answer := REFUSALS.get(fault or "") or (self._has_condition and OF_CONDITIONS.get(fault or "")):
            status, code = answer
            shown = f"<AWSAccessKeyId>{self.headers['authorization']}</AWSAccessKeyId>"
            self._send(status, [], f"<Error><Code>{code}</Code>{shown}</Error>".encode())
        else:
            self._pass_on(fault, body)

    @property
    def _has_condition(self) -> bool:
        return not CONDITIONS.isdisjoint(name.lower() for name in self.headers)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - the names that the library calls

    def _pass_on(self, fault: Fault | None, body: bytes) -> None:
        status, found, data = self._forward(body, fault)
        first = self.server.first.setdefault(f"{self.command} {self.path}", (status, found, data))
        if fault == "old":
            status, found, data = first
        if fault == "unanswered":
            self.close_connection = True
            return
        if fault == "damaged" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self._send(status, found, data, cut=fault == "cut")

    def _forward(self, body: bytes, fault: Fault | None) -> tuple[int, Headers, bytes]:
        left_out = {*NOT_PASSED_ON, *(CONDITIONS if fault == "plain" else [])}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        behind = http.client.HTTPConnection(self.server.behind, timeout=60)
        try:
            behind.request(self.command, self.path, body, headers)
            answer = behind.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            behind.close()

    def _send(self, status: int, headers: Headers, data: bytes, *, cut: bool = False) -> None:
        length = {name.lower(): value for name, value in headers}.get("content-length")
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        # The answer to HEAD has the length of what GET gives.
        self.send_header("Content-Length", length or "0" if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def faulty_storage(behind: str) -> Iterator[FaultyStorage]:
    """Yield a proxy in front of `behind`; it ends with the block."""
    proxy = FaultyStorage(behind)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ending.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join()
