"""What of a tenant can be downloaded, on its pages and by the API alike.

All users are one file, made piece by piece while it is sent, and read by the page, each from its own moment: a
transaction as long as a download would keep the database from being tidied up. So an import that ends meanwhile may
show in a part of the file.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
import json
from collections.abc import Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from importer.rules.identity import Identity, identity_of
from importer.rules.settings import ImportSettings
from importer.users.directory import Export, ShownUser
from importer.users.users import Users
from server.web.downloads import Pieces, download, file_download
from server.web.office import Visit

BATCH = 100
"""Users that are read at once: so many hold up nobody else."""

JSON_LINES = "application/jsonl"


async def send_users_csv(request: Request, visit: Visit) -> Response:
    """Send all users as a `sync_users.csv`."""
    pieces = users_as_csv(visit.users, await visit.settings())
    return download(request, pieces, "sync_users.csv", "text/csv")


async def send_users_json_lines(request: Request, visit: Visit) -> Response:
    """Send all users as JSON lines."""
    pieces = users_as_json_lines(visit.users, await visit.settings())
    return download(request, pieces, "users.jsonl", JSON_LINES)


async def send_rejected_rows(request: Request, visit: Visit, import_id: int) -> Response:
    """Send the rejected rows of an import. Raises Refused if there is none of this id, NotDone if no file is kept."""
    await visit.entry(import_id)
    return await file_download(request, visit.folder.errors(import_id), f"sync_users-{import_id}.errors.csv")


async def send_uploaded_file(request: Request, visit: Visit, import_id: int) -> Response:
    """Send the file of an import as it came. Raises Refused and NotDone as above."""
    entry = await visit.entry(import_id)
    return await file_download(request, visit.folder.copy(import_id), entry.file.name)


async def users_as_csv(users: Users, settings: ImportSettings) -> Pieces:
    """A `sync_users.csv` that changes nobody. Users without an identifier are left out: no row could name them."""
    export, identity = Export(settings), identity_of(settings)
    if codecs.lookup(settings.encoding).name != "utf-8":
        yield codecs.BOM_UTF8  # it wins over the setting
    yield _rows([export.header], settings.delimiter)
    async with users.directory(identity) as directory:
        async for batch in directory.everybody(BATCH, known=True):
            yield await asyncio.to_thread(_csv, batch, export, identity, settings.delimiter)


async def users_as_json_lines(users: Users, settings: ImportSettings) -> Pieces:
    """Everybody, one JSON object a line, as lists of users show one."""
    async with users.directory(identity_of(settings)) as directory:
        async for batch in directory.everybody(BATCH):
            yield await asyncio.to_thread(_json_lines, batch)


def _csv(users: Iterable[ShownUser], export: Export, identity: Identity, delimiter: str) -> bytes:
    return _rows([export.cells(user) for user in users if identity.of(user)], delimiter)


def _rows(rows: Iterable[Sequence[str]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _json_lines(users: Iterable[ShownUser]) -> bytes:
    return "".join(json.dumps(user, ensure_ascii=False) + "\n" for user in users).encode()
