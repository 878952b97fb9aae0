"""Signatures of Standard Webhooks, and the secret that signs what a tenant's receivers get."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ground.files import replace_file
from importer.folder import FolderOf

PREFIX = "whsec_"
RANDOM_BYTES = 32


class WebhookSecrets(Protocol):
    """The secrets of all tenants, `whsec_...`."""

    async def webhook_secret(self, tenant: str) -> str:
        """Return the secret of a tenant. The first call creates it, even if several processes call at once."""

    async def renew_webhook_secret(self, tenant: str) -> str:
        """Replace the secret of a tenant, and return the new one."""


class SecretFiles:
    """The `WebhookSecrets` in the folders of tenants: a small file each. Its methods raise OSError."""

    def __init__(self, folder_of: FolderOf) -> None:
        self._folder_of = folder_of

    async def webhook_secret(self, tenant: str) -> str:
        return await asyncio.to_thread(webhook_secret, self._folder_of(tenant).webhook_secret)

    async def renew_webhook_secret(self, tenant: str) -> str:
        return await asyncio.to_thread(renew_secret, self._folder_of(tenant).webhook_secret)


def webhook_secret(file: Path) -> str:
    """Return the secret in `file`, `whsec_...`. The first call creates it, even if several processes call at once."""
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        mine = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        put_secret(mine, new_secret())
        try:
            os.link(mine, file)
        except FileExistsError:
            pass  # another process was first: use its secret
        finally:
            mine.unlink()
        return file.read_text(encoding="ascii").strip()


def kept_secret(file: Path) -> str | None:
    """Return the secret in `file`; None if there is no such file."""
    return webhook_secret(file) if file.exists() else None


def put_secret(file: Path, secret: str) -> None:
    """Replace the secret in `file`."""
    replace_file(file, secret.encode() + b"\n")


def renew_secret(file: Path) -> str:
    """Replace the secret in `file`, and return the new one."""
    put_secret(file, new_secret())
    return webhook_secret(file)


def key_of(secret: str) -> bytes:
    """Return the key bytes of `secret`."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def signature(secret: str, message_id: str, timestamp: int, body: Iterable[bytes]) -> str:
    """Return the value of `webhook-signature`: HMAC-SHA256 over id, time and the pieces of the body."""
    mac = hmac.new(key_of(secret), f"{message_id}.{timestamp}.".encode(), hashlib.sha256)
    for piece in body:
        mac.update(piece)
    return "v1," + base64.b64encode(mac.digest()).decode()


def signed_headers(secret: str, message_id: str, at: datetime, body: Iterable[bytes]) -> dict[str, str]:
    """Return the headers with the id, the time `at` and the signature of a request."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }


def new_secret() -> str:
    """Return a new secret, `whsec_...`."""
    return PREFIX + base64.b64encode(secrets.token_bytes(RANDOM_BYTES)).decode()
