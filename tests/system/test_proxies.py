"""Behind each proxy of deploy/, pages, events, large files and the addresses of clients are as without it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.clients import CURL, client, needs
from tests.support.importing import people
from tests.support.proxies import FILES, HOST, NAME, Proxy, running_proxy
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually

ACME = "/api/v1/tenants/acme"
ONE, OTHER = "127.0.0.2", "127.0.0.3"
"""The addresses of two clients; neither is a trusted proxy."""

LARGE_BYTES = 100 * 1024 * 1024
WAIT_MOST_S = 60
"""The most seconds that a request may wait for the end of an import: `wait` in docs/api.md."""

SECONDS = {"s": 1, "m": 60}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server that only this machine reaches, with the company acme."""
    folder = tmp_path_factory.mktemp("behind")
    with ServerProcess(folder, env={"HEADCOUNT_TRUSTED_BALANCERS": HOST}) as server:
        server.add_tenant("acme")
        server.cli("tenant", "add", "small")
        server.cli("tenant", "set", "small", "max_file_bytes=100000")
        yield server


@pytest.fixture(scope="module")
def owner(server: ServerProcess) -> str:
    return server.cli("token", "create", "acme", "--role", "owner").text.strip()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=needs(name, CURL)) for name in FILES])
def proxy(
    request: pytest.FixtureRequest, server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with running_proxy(request.param, server, tmp_path_factory.mktemp("proxy") / request.param) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Make a file of 100 MB that no import can read, and its SHA-256."""
    block = random.Random(7).randbytes(1024 * 1024)
    content = b"colour\n" + block * (LARGE_BYTES // len(block))
    path = tmp_path_factory.mktemp("large") / "large.csv"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def api(proxy: Proxy, token: str) -> httpx.Client:
    return proxy.client(authorization=f"Bearer {token}")


def curl(proxy: Proxy, token: str, *arguments: str) -> list[str]:
    """Return the command that sends a request, with HTTP/2 as browsers do."""
    options = ["--cacert", str(proxy.authority), "--header", f"Authorization: Bearer {token}"]
    return [client("curl"), "--silent", "--show-error", "--no-buffer", *options, *arguments]


# Pages


def test_a_sign_in_behind_a_proxy_gets_a_secure_cookie(proxy: Proxy, owner: str) -> None:
    with proxy.client(origin=proxy.url) as browser:
        assert "<form" in browser.get("/sign-in").text
        answer = browser.post("/sign-in", data={"token": owner})
        assert (answer.status_code, answer.headers["location"]) == (303, "/tenants/acme/imports")
        assert "; secure" in answer.headers["set-cookie"].lower()
        page = browser.get(answer.headers["location"])
        assert page.status_code == 200
        assert "max-age" in page.headers["strict-transport-security"]


def test_links_and_redirects_stay_on_the_public_name(proxy: Proxy, owner: str) -> None:
    with api(proxy, owner) as asking:
        for _ in range(2):
            asking.post(
                f"{ACME}/imports", params={"dry_run": "true"}, content=b"", headers={"content-type": "text/csv"}
            )
        links = asking.get(f"{ACME}/imports", params={"limit": 1}).headers["link"]
        assert re.findall("<(.*?)/api/", links) == [proxy.url]
        assert (
            asking.get(f"{ACME}/imports/").headers.get("location", f"{proxy.url}/").startswith((f"{proxy.url}/", "/"))
        )
    plain = httpx.get(f"http://{NAME}:{proxy.http_port}/help?x=1", timeout=DEADLINE_S)
    assert plain.status_code in {301, 308}
    assert re.fullmatch(rf"https://{NAME}(:\d+)?/help\?x=1", plain.headers["location"])


def test_a_browser_can_use_http_2(proxy: Proxy) -> None:
    """With HTTP/1.1, the streams of six open pages would take all connections of a browser."""
    trust = ssl.create_default_context(cafile=proxy.authority)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((HOST, proxy.https_port)) as plain,
        trust.wrap_socket(plain, server_hostname=NAME) as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("path", ["/metrics", "/metrics?x=1", "/%6detrics", "//metrics", "/metrics/", "/metrics%0a"])
def test_a_proxy_does_not_pass_on_metrics(proxy: Proxy, owner: str, path: str) -> None:
    target = ["--path-as-is", "--location", proxy.url + path]
    answer = subprocess.run(curl(proxy, owner, *target), capture_output=True, text=True, check=True)
    assert "headcount_" not in answer.stdout


def test_the_code_of_a_link_is_in_no_log_of_a_proxy(proxy: Proxy) -> None:
    """A reader of the log could sign in with a link that is not used yet. The next request has it as its referrer."""
    link = f"{proxy.url}/sign-in/link?code=only-for-ann"
    with proxy.client(referer=link) as browser:
        assert browser.get(link).status_code == 410
        assert browser.get("/sign-in").status_code == 200
    logs = "".join(path.read_text(errors="replace") for path in proxy.authority.parent.rglob("*.log"))
    assert "only-for-ann" not in logs
    if proxy.name == "nginx":
        assert "GET /sign-in/link HTTP" in logs


# Addresses


async def test_the_server_knows_each_client_behind_a_proxy_by_its_address(proxy: Proxy) -> None:
    """While so many wrong tokens of one client wait that another one is refused, another client is not refused."""
    forged = {"x-forwarded-for": OTHER, "forwarded": f"for={OTHER}", "authorization": "Bearer wrong"}
    async with proxy.async_client(ONE, **forged) as one, proxy.async_client(OTHER, **forged) as other:
        sent: list[asyncio.Task[httpx.Response]] = []

        async def is_refused() -> bool:
            """Send one more: a busy server may have answered the first before the last one arrives."""
            sent.append(asyncio.create_task(one.get(f"{ACME}/imports")))
            return any(each.done() and each.result().status_code == 429 for each in sent)

        await eventually(is_refused, what="a request to be refused")
        assert (await other.get(f"{ACME}/imports")).status_code == 401
        for waiting in sent:
            waiting.cancel()
        await asyncio.wait(sent)


@needs("haproxy", "sftp")
def test_haproxy_passes_on_the_address_of_a_client_of_sftp(server: ServerProcess, tmp_path: Path) -> None:
    with running_proxy("haproxy", server, tmp_path / "haproxy") as proxy:
        local = tmp_path / "sync_users.csv"
        local.write_bytes(people("ann"))
        # The first value of an option counts.
        options = ["-o", f"Port={proxy.sftp_port}", "-o", f"BindAddress={ONE}", *server.options("acme")]
        done = subprocess.run(
            [client("sftp"), *options, "-b", "-", f"acme@{HOST}"],
            input=f'put "{local}" /sync_users.csv\n',
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 0, done.stderr
        assert [line["address"] for line in server.lines() if line["event"] == "login"] == [ONE]
        assert server.wait("acme")["state"] == "completed"


# Events and large files


def test_an_event_arrives_while_its_stream_is_open(proxy: Proxy, owner: str) -> None:
    command = curl(proxy, owner, f"{proxy.url}{ACME}/events")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream, ThreadPoolExecutor(1) as reading:
        assert stream.stdout
        try:
            assert reading.submit(stream.stdout.readline).result(DEADLINE_S).startswith("retry:")
            with api(proxy, owner) as asking:
                asked = {"params": {"dry_run": "true"}, "headers": {"content-type": "text/csv"}}
                made = asking.post(f"{ACME}/imports", content=people("ann"), **asked).json()
            lines = iter(stream.stdout.readline, "")
            events = (json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:"))
            # An import of an earlier test may end late.
            arrives = reading.submit(lambda: any(event["import"] == made["id"] for event in events))
            assert arrives.result(DEADLINE_S)
        finally:
            stream.kill()


def test_100_mb_pass_through_a_proxy_in_both_directions(
    proxy: Proxy, owner: str, large: tuple[Path, str], tmp_path: Path
) -> None:
    path, digest = large
    # The server refuses a body with another digest.
    proof = f"Content-Digest: sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:"
    send = ["--upload-file", str(path), "--request", "POST", "--header", "Content-Type: text/csv", "--header", proof]
    for dry_run in ("true", "false"):
        target = f"{proxy.url}{ACME}/imports?dry_run={dry_run}"
        sent = subprocess.run(curl(proxy, owner, *send, target), capture_output=True, text=True, check=True)
        report = json.loads(sent.stdout)
        assert report["file"]["size"] == path.stat().st_size
        with api(proxy, owner) as asking:
            waiting = {"params": {"wait": WAIT_MOST_S}, "timeout": WAIT_MOST_S + DEADLINE_S}
            ended = asking.get(f"{ACME}/imports/{report['id']}", **waiting).json()
            assert ended["state"] == "failed"
    got = tmp_path / "got.csv"
    target = f"{proxy.url}{ACME}/imports/{report['id']}/file"
    subprocess.run(curl(proxy, owner, "--output", str(got), target), check=True)
    assert hashlib.sha256(got.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name, CURL)) for name in ("nginx", "haproxy")])
def test_a_body_that_is_refused_early_gets_the_answer_of_the_server(
    name: str, server: ServerProcess, large: tuple[Path, str], tmp_path: Path
) -> None:
    """Not with Caddy: soon after such an answer it resets a connection of HTTP/1.1, and curl does not read it.

    With HTTP/2, as browsers use it, the answer arrives. But curl 7.88 may lose it.
    """
    token = server.cli("token", "create", "small", "--role", "owner").text.strip()
    send = ["--http1.1", "--upload-file", str(large[0]), "--request", "POST", "--header", "Content-Type: text/csv"]
    with running_proxy(name, server, tmp_path / name) as proxy:
        target = f"{proxy.url}/api/v1/tenants/small/imports?dry_run=true"
        answer = subprocess.run(curl(proxy, token, *send, target), capture_output=True, text=True, check=False)
        assert json.loads(answer.stdout)["code"] == "file_too_large"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("nginx", ["proxy_read_timeout", "proxy_send_timeout"]),
        ("haproxy", ["timeout client", "timeout server"]),
    ],
)
def test_no_proxy_ends_a_request_that_waits(name: str, names: list[str]) -> None:
    """Caddy has no such time by default."""
    text = (Path(__file__).parents[2] / "deploy" / FILES[name]).read_text(encoding="utf-8")
    for each in names:
        found = re.findall(rf"^\s+{each} (\d+)([sm]);?$", text, re.MULTILINE)
        assert found
        assert all(int(number) * SECONDS[unit] > WAIT_MOST_S for number, unit in found)
