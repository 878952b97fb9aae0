"""The secret a tenant's webhooks are signed with: one small file in its folder, made when it is first asked for."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from ground.files import replace_file

PREFIX = "whsec_"
RANDOM_BYTES = 32


def webhook_secret(file: Path) -> str:
    """The secret in `file`, `whsec_...`; a new one if there is none yet. Whoever asks first makes it, for all."""
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        mine = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        replace_file(mine, _new())
        try:
            os.link(mine, file)
        except FileExistsError:
            pass  # somebody else was first: theirs counts
        finally:
            mine.unlink()
        return file.read_text(encoding="ascii").strip()


def renew_secret(file: Path) -> str:
    """Put a new secret in place of the one in `file`."""
    replace_file(file, _new())
    return webhook_secret(file)


def key_of(secret: str) -> bytes:
    """The bytes that `secret` stands for."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def _new() -> bytes:
    return PREFIX.encode() + base64.b64encode(secrets.token_bytes(RANDOM_BYTES)) + b"\n"
