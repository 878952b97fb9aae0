"""Which public keys we accept, and how one is read from what somebody pasted. Pure.

One key at a time, as a line of `.pub`: type, base64, comment. Only type and base64 are believed and kept: the
reader of authorized_keys in the SSH library splits at vertical tabs, form feeds and U+2028 and skips options it
doesn't know, so a key's comment could carry a second key, and a restriction could be lost without a word.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass

from keys.errors import KeyRefused

RSA_MIN_BITS = 2048
RSA_MAX_BITS = 16384  # a longer one costs us more than it protects them
COMMENT_MAX = 200
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_CERTIFICATE = re.compile(r"(?:^|\s)\S+-cert-v0[01]@openssh\.com(?:\s|$)")
_NEW_KEY = "make a new one with: ssh-keygen -t ed25519"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key we accept. `blob` is in the SSH wire format, `kind` the type named in it."""

    kind: str
    blob: bytes
    comment: str = ""

    @property
    def base64(self) -> str:
        return base64.b64encode(self.blob).decode("ascii")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)


def fingerprint(blob: bytes) -> str:
    """As `ssh-keygen -l` shows it: `SHA256:` and 43 characters."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def parse_public_key(text: str) -> PublicKey:
    """The one key in `text`, judged. Raises KeyRefused with the reason."""
    line = _one_line(text)
    kind, _, rest = line.replace("\t", " ").partition(" ")
    encoded, _, comment = rest.strip(" ").partition(" ")
    _refuse_kind(kind, line)
    blob = _decode(kind, encoded)
    judge(kind, blob)
    return PublicKey(kind, blob, checked_comment(comment))


def judge(kind: str, blob: bytes) -> None:
    """Whether the key is sound and strong enough. Raises KeyRefused if not."""
    # Here and not above: they take a quarter of a second, which commands without a new key need not wait for.
    import asyncssh
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    encoded = base64.b64encode(blob).decode("ascii")
    try:
        key = asyncssh.import_public_key(f"{kind} {encoded}")
    except (asyncssh.KeyImportError, ValueError):
        raise _damaged() from None
    if key.public_data != blob:
        raise _damaged()
    inner = key.pyca_key
    if isinstance(inner, RSAPublicKey) and not RSA_MIN_BITS <= inner.key_size <= RSA_MAX_BITS:
        raise KeyRefused(
            "key_weak" if inner.key_size < RSA_MIN_BITS else "key_too_long",
            f"an RSA key must have {RSA_MIN_BITS} to {RSA_MAX_BITS} bits, this one has {inner.key_size}; {_NEW_KEY}",
        )


def checked_comment(comment: str) -> str:
    """`comment` as it may be kept and shown. Raises KeyRefused if it is too long or holds control characters."""
    comment = unicodedata.normalize("NFC", comment).strip()
    if len(comment) > COMMENT_MAX:
        raise KeyRefused("key_comment", f"the comment is longer than {COMMENT_MAX} characters")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in comment):
        raise KeyRefused("key_comment", "the comment holds control characters; take them out or give another comment")
    return comment


def _one_line(text: str) -> str:
    if "PRIVATE KEY-----" in text or "PuTTY-User-Key-File" in text or "SSH PRIVATE KEY FILE" in text:
        raise KeyRefused(
            "key_private",
            "this is a PRIVATE key, which must never leave its owner's machine: nothing of it was kept. "
            "Treat it as compromised, make a new pair, and give the public half (the file ending in .pub)",
        )
    if "BEGIN SSH2 PUBLIC KEY" in text or "-----BEGIN" in text:
        raise KeyRefused(
            "key_format",
            "this public key is in another format; turn it into one line with: ssh-keygen -i -f FILE "
            "(or -i -m PKCS8 -f FILE), or copy the line that PuTTYgen shows",
        )
    line = text.removeprefix("\ufeff").strip(" \t\r\n")
    if not line:
        raise KeyRefused("key_empty", "there is no key in it; expected one line such as: ssh-ed25519 AAAA... comment")
    if len(line.splitlines()) > 1:
        raise KeyRefused("key_multiline", "it has more than one line; add keys one at a time, each on one line")
    return line


def _refuse_kind(kind: str, line: str) -> None:
    if kind in KINDS:
        return
    if _CERTIFICATE.search(line):
        raise KeyRefused("key_certificate", "this is a certificate; give the public key itself (without -cert in it)")
    if kind == "ssh-dss":
        raise KeyRefused("key_weak", f"DSA keys are not safe any more; {_NEW_KEY}")
    if any(f" {known} " in line.replace("\t", " ") for known in (*KINDS, "ssh-dss")):
        raise KeyRefused(
            "key_options",
            "there are options before the key; give the key alone, its expiry and source networks apart",
        )
    raise KeyRefused(
        "key_type", f"this is no key of a type we know ({', '.join(KINDS)}); expected: TYPE AAAA... comment"
    )


def _decode(kind: str, encoded: str) -> bytes:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _damaged() from None
    name = kind.encode("ascii")
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise _damaged()
    return blob


def _damaged() -> KeyRefused:
    return KeyRefused("key_damaged", "the key is damaged or incomplete; copy the whole line of the .pub file again")
