"""Which public keys are accepted, and how one is parsed from pasted text. Pure.

One key at a time, as a line of a `.pub` file: type, base64, comment. Only type and base64 are trusted and kept. The
parser of authorized_keys in the SSH library splits at vertical tabs, form feeds and U+2028, and skips unknown
options. So a comment could bring in a second key, and a restriction could be lost silently.
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
RSA_MAX_BITS = 16384  # a longer one costs the server more time than it adds security
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
_NEW_KEY = "create a new one with: ssh-keygen -t ed25519"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An accepted key. `blob` is in the SSH wire format, `kind` the type named in it."""

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
    """Return the fingerprint as `ssh-keygen -l` shows it: `SHA256:` and 43 characters."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def parse_public_key(text: str) -> PublicKey:
    """Return the one key in `text`, after checking it. Raises KeyRefused with the reason."""
    line = _one_line(text)
    kind, _, rest = line.replace("\t", " ").partition(" ")
    encoded, _, comment = rest.strip(" ").partition(" ")
    _refuse_kind(kind, line)
    blob = _decode(kind, encoded)
    judge(kind, blob)
    return PublicKey(kind, blob, checked_comment(comment))


def judge(kind: str, blob: bytes) -> None:
    """Check that the key is sound and strong enough. Raises KeyRefused if not."""
    # Imported here: it takes 0.25 s, which commands that add no key should not spend.
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
            f"an RSA key must have {RSA_MIN_BITS} to {RSA_MAX_BITS} bits; this one has {inner.key_size}; {_NEW_KEY}",
        )


def checked_comment(comment: str) -> str:
    """Return `comment` as it is kept and shown. Raises KeyRefused if it is too long or has control characters."""
    comment = unicodedata.normalize("NFC", comment).strip()
    if len(comment) > COMMENT_MAX:
        raise KeyRefused("key_comment", f"the comment is longer than {COMMENT_MAX} characters; shorten it")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in comment):
        raise KeyRefused("key_comment", "the comment has control characters; remove them or use another comment")
    return comment


def _one_line(text: str) -> str:
    if "PRIVATE KEY-----" in text or "PuTTY-User-Key-File" in text or "SSH PRIVATE KEY FILE" in text:
        raise KeyRefused(
            "key_private",
            "this is a PRIVATE key, which must never leave its owner's computer: nothing of it was stored. "
            "Stop using it, create a new key pair and add the public key (the file ending in .pub)",
        )
    if "BEGIN SSH2 PUBLIC KEY" in text or "-----BEGIN" in text:
        raise KeyRefused(
            "key_format",
            "this public key is in another format; convert it to one line with: ssh-keygen -i -f FILE "
            "(or -i -m PKCS8 -f FILE), or copy the line that PuTTYgen shows",
        )
    line = text.removeprefix("\ufeff").strip(" \t\r\n")
    if not line:
        raise KeyRefused("key_empty", "there is no key here; expected one line such as: ssh-ed25519 AAAA... comment")
    if len(line.splitlines()) > 1:
        raise KeyRefused("key_multiline", "there is more than one line; add one key at a time, on one line")
    return line


def _refuse_kind(kind: str, line: str) -> None:
    if kind in KINDS:
        return
    if _CERTIFICATE.search(line):
        raise KeyRefused(
            "key_certificate", "this is a certificate; add the public key itself (without -cert in its type)"
        )
    if kind == "ssh-dss":
        raise KeyRefused("key_weak", f"DSA keys are no longer safe; {_NEW_KEY}")
    if any(f" {known} " in line.replace("\t", " ") for known in (*KINDS, "ssh-dss")):
        raise KeyRefused(
            "key_options",
            "there are options before the key; add the key alone, and set expiry and networks separately",
        )
    raise KeyRefused(
        "key_type", f"this is not a key of a supported type ({', '.join(KINDS)}); expected: TYPE AAAA... comment"
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
