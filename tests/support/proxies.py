"""The real proxies of deploy/ in front of a server: its configuration, with other addresses, ports and paths.

with running_proxy("nginx", server, folder) as proxy:
    assert proxy.client().get("/sign-in").status_code == 200
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trustme

from tests.support import ROOT
from tests.support.clients import client
from tests.support.ports import free_ports as free_ports
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until

HOST = "127.0.0.1"
NAME = "localhost"
"""The public name of the server: that of the certificate."""

DEPLOY = ROOT / "deploy"
FILES = {"nginx": "nginx.conf", "caddy": "Caddyfile", "haproxy": "haproxy.cfg"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """Its public ports; `sftp_port` is 0 if it serves HTTPS only. `authority` and `trust` know its certificate."""

    name: str
    https_port: int
    http_port: int
    sftp_port: int
    authority: Path
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.https_port}"

    def client(self, source: str = HOST, **headers: str) -> httpx.Client:
        """Return a client whose address is `source`."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=source)
        return httpx.Client(transport=transport, base_url=self.url, headers=headers, timeout=DEADLINE_S)

    def async_client(self, source: str, **headers: str) -> httpx.AsyncClient:
        """Do as `client`, for tests with an event loop."""
        transport = httpx.AsyncHTTPTransport(verify=self.trust, local_address=source)
        return httpx.AsyncClient(transport=transport, base_url=self.url, headers=headers, timeout=DEADLINE_S)


@dataclass(frozen=True, slots=True)
class _Place:
    """The server, ports and certificates that a configuration names."""

    folder: Path
    server: ServerProcess
    https_port: int
    http_port: int
    sftp_port: int
    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files with the certificate of NAME, its key and both, and with that of its authority, which `trust` has."""

    chain: Path
    key: Path
    both: Path
    authority: Path
    trust: ssl.SSLContext


def certificates(folder: Path) -> Certificates:
    """Make a certificate for NAME in `folder`."""
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    made = [folder / f"{name}.pem" for name in ("chain", "key", "both", "authority")]
    issued.cert_chain_pems[0].write_to_path(made[0])
    issued.private_key_pem.write_to_path(made[1])
    issued.private_key_and_cert_chain_pem.write_to_path(made[2])
    authority.cert_pem.write_to_path(made[3])
    return Certificates(*made, ssl.create_default_context(cafile=made[3]))


@contextmanager
def running_proxy(name: str, server: ServerProcess, folder: Path) -> Iterator[Proxy]:
    """Run the proxy `name` (a key of FILES) in front of `server` until the end of the context."""
    folder.mkdir()
    made = certificates(folder)
    ports = free_ports(3)
    place = _Place(folder, server, *ports, made.chain, made.key, made.both)
    command, env = {"nginx": _nginx, "caddy": _caddy, "haproxy": _haproxy}[name](place)
    with listening(command, folder, ports[0], env):
        sftp_port = ports[2] if name == "haproxy" else 0
        yield Proxy(name, ports[0], ports[1], sftp_port, made.authority, made.trust)


@contextmanager
def listening(
    command: Sequence[str], folder: Path, port: int, env: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """Run a proxy in `folder` until the end of the context, and wait until it listens on `port`; yield its log."""
    log = folder / "proxy.log"
    with log.open("wb") as writing:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
    try:
        wait_until(lambda: _accepts(port, process, log), what=f"{command[0]} to listen")
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Return `text` with these parts replaced; each must be there, or the test would use what it cannot."""
    for old, new in changes.items():
        assert old in text, f"{old} is missing"
        text = text.replace(old, new)
    return text


def _accepts(port: int, process: subprocess.Popen[Any], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with closing(socket.socket()) as trying:
        return trying.connect_ex((HOST, port)) == 0


def _nginx(place: _Place) -> tuple[list[str], dict[str, str]]:
    text = replaced(
        (DEPLOY / FILES["nginx"]).read_text(encoding="utf-8"),
        {
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl http2;\n": "",
            "/var/log/nginx/headcount.log": str(place.folder / "headcount.log"),
            "listen 80;": f"listen {HOST}:{place.http_port};",
            "listen 443 ssl": f"listen {HOST}:{place.https_port} ssl",
            "https://files.example.com$": f"https://{NAME}:{place.https_port}$",
            "/etc/letsencrypt/live/files.example.com/fullchain.pem": str(place.certificate),
            "/etc/letsencrypt/live/files.example.com/privkey.pem": str(place.key),
            "server_name files.example.com;": f"server_name {NAME};",
            "http://127.0.0.1:8080": f"http://{HOST}:{place.server.http_port}",
        },
    )
    (place.folder / "headcount.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    # A worker of root could not use the temporary folder of the test.
    user = "user root;\n" if os.geteuid() == 0 else ""
    (place.folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log access.log;\n"
        + "".join(f"  {kind}_temp_path {kind};\n" for kind in kinds)
        + "  include headcount.conf;\n}\n"
    )
    return [client("nginx"), "-p", str(place.folder), "-c", "nginx.conf", "-e", "stderr"], {}


def _caddy(place: _Place) -> tuple[list[str], dict[str, str]]:
    text = replaced(
        (DEPLOY / FILES["caddy"]).read_text(encoding="utf-8"),
        {
            "# tls /etc/caddy/files.example.com.pem /etc/caddy/files.example.com.key": (
                f"tls {place.certificate} {place.key}"
            )
        },
    )
    options = f"{{\n\tadmin off\n\thttp_port {place.http_port}\n\tdefault_bind {HOST}\n}}\n"
    (place.folder / "Caddyfile").write_text(options + text)
    env = {
        "SITE_NAME": f"{NAME}:{place.https_port}",
        "UPSTREAM": f"{HOST}:{place.server.http_port}",
        "HOME": str(place.folder),
        "XDG_DATA_HOME": str(place.folder / "data"),
        "XDG_CONFIG_HOME": str(place.folder / "config"),
    }
    return [client("caddy"), "run", "--adapter", "caddyfile", "--config", "Caddyfile"], env


def _haproxy(place: _Place) -> tuple[list[str], dict[str, str]]:
    changes = {
        ":80,:::80 v6only": f"{HOST}:{place.http_port}",
        ":443,:::443 v6only": f"{HOST}:{place.https_port}",
        ":22,:::22 v6only": f"{HOST}:{place.sftp_port}",
        "/etc/haproxy/files.example.com.pem": str(place.both),
        "127.0.0.1:8080": f"{HOST}:{place.server.http_port}",
        "127.0.0.1:2222": f"{HOST}:{place.server.sftp_port}",
    }
    if os.geteuid() != 0:
        changes |= {"    user haproxy\n": "", "    group haproxy\n": ""}
    text = replaced((DEPLOY / FILES["haproxy"]).read_text(encoding="utf-8"), changes)
    (place.folder / "haproxy.cfg").write_text(text)
    return [client("haproxy"), "-db", "-f", "haproxy.cfg"], {}
