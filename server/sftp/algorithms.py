"""Which algorithms are offered, and how to tell that a client shares none.

The defaults are those of RFCs and of OpenSSH that ssh-audit (3.9) does not fail, those it only warns of included: old
HR systems and Debian's Ruby (net-ssh 7.0) have nothing newer. `rsa2048-sha256` is left out: the server would have to
make an RSA key for each connection. `legacy` adds what ssh-audit fails but nobody has broken.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

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
    "key exchange", "host key", "cipher (to us)", "cipher (from us)", "MAC (to us)", "MAC (from us)",
    "compression (to us)", "compression (from us)",
)  # fmt: skip


def offered(*, legacy: bool) -> dict[str, list[str]]:
    """The options of `asyncssh.listen` that say which algorithms are offered, best first."""

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
    """The host keys with the signatures they may make: with SHA-1 only for `legacy`."""
    pairs = asyncssh.load_keypairs(list(keys))
    for pair in pairs:
        if b"rsa-sha2-256" in pair.host_key_algorithms:
            pair.host_key_algorithms = (*HOST_RSA, b"ssh-rsa") if legacy else HOST_RSA
    return pairs


def unshared(client: bytes, server: bytes) -> list[str]:
    """Given both KEXINIT messages: for each kind of algorithm without a common one, a sentence with both lists."""
    try:
        theirs, ours = _lists(client), _lists(server)
    except PacketDecodeError:
        return []
    return [
        f"no common {kind}: the client offers {_shown(its)}; the server {_shown(our)}"
        for kind, its, our in zip(_LISTS, theirs, ours, strict=True)
        if not set(its) & set(our)
    ]


def _lists(kexinit: bytes) -> list[Sequence[bytes]]:
    packet = SSHPacket(kexinit)
    packet.get_bytes(1 + 16)  # type and cookie
    return [packet.get_namelist() for _ in _LISTS]


def _shown(names: Sequence[bytes]) -> str:
    return b", ".join(names).decode("ascii", "replace")[:1000] or "none"
