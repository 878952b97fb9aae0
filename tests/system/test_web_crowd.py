"""A crowd of HTTP clients does not block uploads, clients with a token, health checks or metrics."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from server.web.crowd import CONNECTIONS, SPARE, STREAMS
from server.web.forms import FORM_BYTES_MOST
from server.web.slowing import WAITING_MOST
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until

OTHERS = 800
"""The descriptors of the server that are not for HTTP."""

PARTS = 50_000


@needs("sftp")
def test_a_crowd_of_silent_clients_does_not_block_uploads(tmp_path: Path) -> None:
    descriptors = CONNECTIONS + SPARE + OTHERS
    with ServerProcess(tmp_path) as server, ExitStack() as crowd:
        for name in ("acme", "other"):
            server.add_tenant(name)
        assert server.process
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        for _ in range(descriptors + 200):
            connect(server, crowd)
        serves_others(server)
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server without a proxy, so that every address of 127.0.0.0/8 is a source."""
    folder = tmp_path_factory.mktemp("crowd")
    with ServerProcess(folder, env={"HEADCOUNT_HTTP_TRUSTED_PROXIES": "192.0.2.1"}) as server:
        for name in ("acme", "other"):
            server.add_tenant(name)
        yield server


@contextmanager
def calm(server: ServerProcess) -> Iterator[ExitStack]:
    """Close everything that was opened, then check that the log has no error that a client must not cause."""
    with ExitStack() as crowd:
        yield crowd
    lines = server.lines()
    assert not [line for line in lines if "Traceback" in str(line) or line.get("level") == "error"]


def connect(server: ServerProcess, crowd: ExitStack, source: str = "127.0.0.1") -> socket.socket:
    return crowd.enter_context(socket.create_connection(("127.0.0.1", server.http_port), 30, (source, 0)))


def token(server: ServerProcess, *arguments: str) -> str:
    return str(server.cli("token", "create", *arguments, "--json").json["token"])


def ask(path: str, text: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {text}\r\n\r\n".encode()


def status(connection: socket.socket) -> int | None:
    """Return the status of an answer when its head has arrived; None if the connection was closed instead."""
    try:
        head = connection.recv(64)
    except ConnectionError:
        return None
    return int(head.split()[1]) if head else None


def serves_others(server: ServerProcess) -> None:
    """Check health, readiness, metrics, the operator's page, and the page of another tenant's owner."""
    base = f"http://127.0.0.1:{server.http_port}"
    same = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=base, timeout=DEADLINE_S) as operator:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert operator.get(path).status_code == 200, path
        signed_in = operator.post("/sign-in", data={"token": token(server, "--operator")}, headers=same)
        assert signed_in.status_code == 303
        assert "acme" in operator.get("/tenants").text
    owner = {"authorization": f"Bearer {token(server, 'other', '--role', 'owner')}"}
    with httpx.Client(base_url=base, timeout=DEADLINE_S, headers=owner) as other:
        assert other.get("/api/v1/tenants/other/imports").status_code == 200


@pytest.mark.parametrize("addresses", [1, 7])
def test_idle_connections_without_a_token_block_no_other_client(server: ServerProcess, addresses: int) -> None:
    with calm(server) as crowd:
        for number in range(CONNECTIONS + 100):
            connect(server, crowd, f"127.0.1.{1 + number % addresses}")
        serves_others(server)


def test_the_event_streams_of_one_viewer_block_no_other_client(server: ServerProcess) -> None:
    viewer = token(server, "acme", "--role", "viewer")
    with calm(server) as crowd:
        streams = []
        for number in range(CONNECTIONS + 10):
            streams.append(connect(server, crowd, f"127.0.2.{1 + number % 7}"))
            with suppress(ConnectionError):
                streams[-1].sendall(ask("/api/v1/tenants/acme/events", viewer))
        serves_others(server)
        answers = [status(stream) for stream in streams]
        assert answers.count(200) == STREAMS
        assert set(answers) <= {200, 429, None}
        serves_others(server)


def test_an_event_stream_above_the_cap_is_refused_until_another_ends(server: ServerProcess) -> None:
    viewer = token(server, "acme", "--role", "viewer")
    with calm(server) as crowd:
        streams = [connect(server, crowd, "127.0.3.1") for _ in range(STREAMS)]
        for stream in streams:
            stream.sendall(ask("/api/v1/tenants/acme/events", viewer))
            assert status(stream) == 200
        refused = server.get("/api/v1/tenants/acme/events", authorization=f"Bearer {viewer}")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        streams[0].close()

        def taken() -> bool:
            again = connect(server, crowd, "127.0.3.1")
            again.sendall(ask("/api/v1/tenants/acme/events", viewer))
            return status(again) == 200

        wait_until(taken, DEADLINE_S, "the place of a stream that has ended")


def test_a_form_above_1_mib_is_refused(server: ServerProcess) -> None:
    url, same = f"http://127.0.0.1:{server.http_port}/sign-in", {"sec-fetch-site": "same-origin"}
    refused = httpx.post(url, data={"token": "x" * FORM_BYTES_MOST}, headers=same, timeout=DEADLINE_S)
    assert refused.status_code == 413


def test_a_head_of_a_request_that_is_too_long_is_answered_with_400(server: ServerProcess) -> None:
    with calm(server) as crowd:
        client = connect(server, crowd)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nX: " + b"y" * 20_000)
        assert status(client) == 400


def test_wrong_tokens_at_once_are_refused_while_a_right_one_is_answered(server: ServerProcess) -> None:
    right = token(server, "acme", "--role", "viewer")
    with calm(server) as crowd:
        server.freeze()  # the first delays are short: it must not answer before the last one is there
        wrong = [connect(server, crowd, "127.0.4.1") for _ in range(2 * WAITING_MOST)]
        for client in wrong:
            client.sendall(ask("/api/v1/tenants/acme/imports", "wrong"))
        server.thaw()
        assert any(status(client) == 429 for client in reversed(wrong))
        known = connect(server, crowd, "127.0.4.1")
        known.sendall(ask("/api/v1/tenants/acme/imports", right))
        assert status(known) == 200


def form_of_tiny_parts(session: str) -> bytes:
    """Return a request that tests a file, with a form of tiny parts only."""
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * PARTS + b"--x--\r\n"
    head = [
        "POST /tenants/acme/try HTTP/1.1",
        "Host: here",
        "Sec-Fetch-Site: same-origin",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {len(body)}",
        f"Cookie: headcount={session}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def send_all(form: socket.socket, request: bytes) -> None:
    """Send a request; the server may have answered before its end, and does not take the rest for long."""
    with suppress(ConnectionError):
        form.sendall(request)


@needs("sftp")
def test_a_form_of_tiny_parts_is_refused_and_uploads_go_on_beside_it(server: ServerProcess) -> None:
    owner = token(server, "acme", "--role", "owner")
    url = f"http://127.0.0.1:{server.http_port}/sign-in"
    same = {"sec-fetch-site": "same-origin"}
    signed_in = httpx.post(url, data={"token": owner}, headers=same, timeout=DEADLINE_S)
    request = form_of_tiny_parts(signed_in.cookies["headcount"])
    with calm(server) as crowd:
        sending = crowd.enter_context(ThreadPoolExecutor(5))
        forms = [connect(server, crowd) for _ in range(5)]
        sent = [sending.submit(send_all, form, request) for form in forms]
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"
        for each in sent:
            each.result()
        assert [status(form) for form in forms] == [400] * 5
