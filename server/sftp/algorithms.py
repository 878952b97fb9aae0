"""The SSH algorithms that the server offers, and an explanation for a client that shares none.

The defaults are the algorithms of RFCs and of OpenSSH that ssh-audit (3.9) does not fail. They include those it warns
about, because old HR systems and Debian's Ruby (net-ssh 7.0) have nothing newer. `rsa2048-sha256` is left out: the
server would have to make an RSA key for each connection. `legacy` adds algorithms that ssh-audit fails but that are
not broken.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

from ground.addresses import Address

log = logging.getLogger(__name__)

KEY_EXCHANGE = (
    "mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "curve448-sha512",
    "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group17-sha512",
    "diffie-hellman-group15-sha512", "diffie-hellman-group14-sha256",
)  # fmt: skip
CIPHERS = (
    "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes192-ctr",
    "aes128-ctr", "aes256-cbc", "aes192-cbc", "aes128-cbc",
)  # fmt: skip
MACS = (
    "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256", "hmac-sha2-512",  # libssh2 before 1.11, and with it the curl of Debian 12
)  # fmt: skip
SIGNATURES = (
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
HOST_RSA = (b"rsa-sha2-512", b"rsa-sha2-256")

OLDER_KEY_EXCHANGE = (
    "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "diffie-hellman-group14-sha1",
)  # fmt: skip
OLDER_MACS = ("hmac-sha1",)
OLDER_SIGNATURES = ("ssh-rsa",)

_LISTS = (
    "key exchange", "host key", "cipher (to the server)", "cipher (to the client)", "MAC (to the server)",
    "MAC (to the client)", "compression (to the server)", "compression (to the client)",
)  # fmt: skip


def offered(*, legacy: bool) -> dict[str, list[str]]:
    """Return the options of `asyncssh.listen` that select the algorithms, best first."""

    def chosen(names: Sequence[str], older: Sequence[str]) -> list[str]:
        return [*names, *older] if legacy else list(names)

    return {
        "kex_algs": chosen(KEY_EXCHANGE, OLDER_KEY_EXCHANGE),
        "encryption_algs": list(CIPHERS),
        "mac_algs": chosen(MACS, OLDER_MACS),
        "signature_algs": chosen(SIGNATURES, OLDER_SIGNATURES),
        "compression_algs": ["none"],
    }


def host_key_pairs(keys: Sequence[asyncssh.SSHKey], *, legacy: bool) -> Sequence[asyncssh.SSHKeyPair]:
    """Return the host keys with the signatures they may make; with SHA-1 only if `legacy`."""
    pairs = asyncssh.load_keypairs(list(keys))
    for pair in pairs:
        if b"rsa-sha2-256" in pair.host_key_algorithms:
            pair.host_key_algorithms = (*HOST_RSA, b"ssh-rsa") if legacy else HOST_RSA
    return pairs


def explain(conn: asyncssh.SSHServerConnection | None, address: Address, error: Exception) -> None:
    """Log the algorithms of both sides that do not match: to fix a client, the operator needs both lists."""
    client, server = (getattr(conn, name, b"") for name in ("_client_kexinit", "_server_kexinit"))
    version = conn.get_extra_info("client_version", "?") if conn else "?"
    log.warning(
        "The key exchange with %s (%s) failed: %s.",
        *(address, version, "; ".join(unshared(client, server)) or error),
        extra={"event": "key_exchange_failed"},
    )


def unshared(client: bytes, server: bytes) -> list[str]:
    """Return a clause with both lists for each kind of algorithm that these KEXINIT messages do not share."""
    try:
        asked, supported = _lists(client), _lists(server)
    except PacketDecodeError:
        return []
    return [
        f"no common {kind}: the client offers {_shown(of_client)}; the server offers {_shown(of_server)}"
        for kind, of_client, of_server in zip(_LISTS, asked, supported, strict=True)
        if not set(of_client) & set(of_server)
    ]


def _lists(kexinit: bytes) -> list[Sequence[bytes]]:
    packet = SSHPacket(kexinit)
    packet.get_bytes(1 + 16)  # type and cookie
    return [packet.get_namelist() for _ in _LISTS]


def _shown(names: Sequence[bytes]) -> str:
    return b", ".join(names).decode("ascii", "replace")[:1000] or "none"
