"""The secret that signs a tenant's webhooks: a small file in its folder, created at its first use."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from ground.files import replace_file

PREFIX = "whsec_"
RANDOM_BYTES = 32


def webhook_secret(file: Path) -> str:
    """Return the secret in `file`, `whsec_...`. The first call creates it, even if several processes call at once."""
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        mine = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        replace_file(mine, _new())
        try:
            os.link(mine, file)
        except FileExistsError:
            pass  # another process was first: use its secret
        finally:
            mine.unlink()
        return file.read_text(encoding="ascii").strip()


def renew_secret(file: Path) -> str:
    """Replace the secret in `file`, and return the new one."""
    replace_file(file, _new())
    return webhook_secret(file)


def key_of(secret: str) -> bytes:
    """Return the key bytes of `secret`."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def _new() -> bytes:
    return PREFIX.encode() + base64.b64encode(secrets.token_bytes(RANDOM_BYTES)) + b"\n"
