"""The facts that clients need to connect to a tenant's folder, in the form that each client takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from keys.host import ShownHostKey
from server.web.office import Visit

SSH_PORT = 22
TYPES = {
    "ssh-ed25519": "Ed25519",
    "ssh-rsa": "RSA",
    "ecdsa-sha2-nistp256": "ECDSA, 256 bits",
    "ecdsa-sha2-nistp384": "ECDSA, 384 bits",
    "ecdsa-sha2-nistp521": "ECDSA, 521 bits",
    "sk-ssh-ed25519@openssh.com": "Ed25519 security key",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA security key",
}
"""The labels of the types of keys."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where `user` logs in, and the host keys of the server."""

    host: str
    port: int
    user: str
    host_keys: Sequence[ShownHostKey]

    @property
    def by_hand(self) -> str:
        """Return the command that opens a session with OpenSSH's sftp."""
        return f"sftp -P {self.port} -i headcount {self._target}"

    @property
    def by_script(self) -> str:
        """Return the command for an automatic job: it uploads the file, and fails if the file did not arrive."""
        return f"echo 'put sync_users.csv' | sftp -b - -P {self.port} -i headcount {self._target}"

    @property
    def known_hosts(self) -> str:
        """Return the lines of `known_hosts` with which an automatic job checks the server's identity."""
        name = self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"
        return "\n".join(f"{name} {key.public}" for key in self.host_keys)

    @property
    def _target(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return shlex.quote(f"{self.user}@{host}")


def connection_of(request: Request, visit: Visit) -> Connection:
    """Return where clients of the tenant connect: the operator's setting, else the host name of this request."""
    settings, office = visit.office.settings, visit.office
    host = settings.sftp_public_host or request.url.hostname or "localhost"
    return Connection(host, settings.sftp_public_port or office.sftp_port(), visit.tenant, office.host_keys)
