"""A bucket of S3-compatible storage, by obstore. Only this folder imports it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from engine.s3.faults import is_absent, is_unknown, translating
from engine.s3.key_files import KeyFile
from engine.s3.urls import Bucket
from engine.shared.objects import BLOCK

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig, RetryConfig

CONNECT_S = 3.0
ANSWER_S = 10.0
"""The longest time for one request, with its body."""
TRIES = 3
"""How often a request is sent in all, if it fails or has no answer."""
WITHIN_S = 15.0
"""No request is sent again later than so many seconds after the first."""
BLOCKS_AT_ONCE = 2
"""So many blocks of an object are sent at once. All of them are in memory."""


class S3Objects:
    """An `engine.shared.objects.Objects`. Nothing is asked before the first call."""

    def __init__(self, bucket: Bucket, key_file: Path | None = None) -> None:
        """The access key is in `key_file`, or where programs of AWS look for it. Raises DatabaseUnusable."""
        client: ClientConfig = {
            "allow_http": True,  # the endpoint says which it is
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "timeout": timedelta(seconds=ANSWER_S),
        }
        retry: RetryConfig = {
            "max_retries": TRIES - 1,
            "retry_timeout": timedelta(seconds=WITHIN_S),
            "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2)},
        }
        chosen = {"endpoint": bucket.endpoint, "region": bucket.region}
        self._name = bucket.in_words
        self._store = S3Store(
            bucket.name,
            prefix=bucket.folder or None,
            checksum_algorithm="sha256",
            client_options=client,
            retry_config=retry,
            credential_provider=KeyFile(key_file) if key_file else None,
            **{name: value for name, value in chosen.items() if value},  # type: ignore[arg-type]
        )

    @property
    def name(self) -> str:
        return self._name

    async def put(self, key: str, data: bytes) -> None:
        with translating():
            async with asyncio.timeout(2 * WITHIN_S):
                await obstore.put_async(self._store, key, data, use_multipart=False)

    async def put_blocks(self, key: str, blocks: AsyncIterator[bytes]) -> None:
        with translating():
            await obstore.put_async(
                self._store, key, blocks, use_multipart=True, chunk_size=BLOCK, max_concurrency=BLOCKS_AT_ONCE
            )

    async def size(self, key: str) -> int | None:
        with translating():
            async with asyncio.timeout(2 * WITHIN_S):
                try:
                    return int((await obstore.head_async(self._store, key))["size"])
                except FileNotFoundError as error:
                    if is_absent(error):
                        return None
                    raise

    async def read(self, key: str, start: int, end: int) -> bytes | None:
        with translating():
            async with asyncio.timeout(2 * WITHIN_S):
                try:
                    return bytes(await obstore.get_range_async(self._store, key, start=start, end=end))
                except FileNotFoundError as error:
                    if is_absent(error):
                        return None
                    raise

    async def tagged(self, key: str) -> tuple[bytes, str] | None:
        with translating():
            async with asyncio.timeout(2 * WITHIN_S):
                try:
                    found = await obstore.get_async(self._store, key)
                except FileNotFoundError as error:
                    if is_absent(error):
                        return None
                    raise
                return bytes(await found.bytes_async()), found.meta["e_tag"] or ""

    async def create(self, key: str, data: bytes) -> bool:
        return await self._put_if(key, data, "create")

    async def replace(self, key: str, data: bytes, tag: str) -> bool:
        return await self._put_if(key, data, {"e_tag": tag})

    async def _put_if(self, key: str, data: bytes, mode: PutMode) -> bool:
        with translating():
            async with asyncio.timeout(2 * WITHIN_S):
                try:
                    await obstore.put_async(self._store, key, data, use_multipart=False, mode=mode)
                    return True
                except (AlreadyExistsError, PreconditionError):
                    return False
                except BaseError as error:
                    if not is_unknown(error):
                        raise
        await self.put(key, data)
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            with translating():
                async with asyncio.timeout(2 * WITHIN_S):
                    await obstore.delete_async(self._store, list(keys))

    async def list(self, start: str, after: str, limit: int) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        with translating():
            async with asyncio.timeout(2 * WITHIN_S):
                stream = obstore.list(self._store, start, offset=after or None, chunk_size=limit)
                async for page in stream:
                    found += [(each["path"], each["size"]) for each in page]
                    if len(found) >= limit:
                        break
        return sorted(found)[:limit]
