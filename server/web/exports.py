"""The downloads of a tenant, for the pages and the API.

The file of all users is made piece by piece while it is sent. Users are read in batches, each in its own transaction:
a transaction as long as the download would block the cleanup of the database. So if an import ends during a download,
only a part of the file may show it.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
import json
from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response

from importer.file.formulas import escape_formula
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.directory import ALL, Export, ShownUser, Wanted
from importer.users.users import Users
from server.runs.reported import file_name, open_report
from server.web.downloads import Pieces, download, file_download, no_file, opened, opened_download
from server.web.office import Visit

BATCH = 100
"""The users read at once: few enough not to delay other work."""

JSON_LINES = "application/jsonl"
TOUCHED = ("identifier", "name", "email", "action", "line")
"""The columns of the list of users that an import would change."""


async def send_users_csv(request: Request, visit: Visit, wanted: Wanted = ALL) -> Response:
    """Send all users as a `sync_users.csv`. A part of them has another name, because it is not a complete list."""
    pieces = users_as_csv(visit.users, await visit.settings(), wanted)
    return download(request, pieces, "sync_users.csv" if wanted == ALL else "some-users.csv", "text/csv")


async def send_users_json_lines(request: Request, visit: Visit, wanted: Wanted = ALL) -> Response:
    """Send the users as JSON lines."""
    pieces = users_as_json_lines(visit.users, await visit.settings(), wanted)
    return download(request, pieces, "users.jsonl" if wanted == ALL else "some-users.jsonl", JSON_LINES)


async def send_rejected_rows(request: Request, visit: Visit, import_id: int) -> Response:
    """Send the rejected rows of an import. Raises Refused for an unknown id, HttpProblem if no file is kept."""
    await visit.entry(import_id)
    return await file_download(
        request, await visit.file(visit.folder.errors(import_id)), f"sync_users-{import_id}.errors.csv"
    )


async def send_uploaded_file(request: Request, visit: Visit, import_id: int) -> Response:
    """Send the uploaded file of an import. Raises Refused and HttpProblem as above."""
    entry = await visit.entry(import_id)
    return await file_download(request, await visit.file(visit.folder.copy(import_id)), entry.file.name)


async def send_report(request: Request, visit: Visit, run_id: int, name: str) -> Response:
    """Send the file that a hook reported about a run under `name`. Raises Refused and HttpProblem as above."""
    run = await visit.run(run_id)
    try:
        file = await open_report(visit.office.files, visit.folder, run, name)
    except FileNotFoundError:
        raise no_file() from None
    return opened_download(request, file, file_name(run, name), "application/octet-stream")


async def send_touched(request: Request, visit: Visit, import_id: int) -> Response:
    """Send the users that an import would change, as CSV. Raises Refused and HttpProblem as above."""
    await visit.entry(import_id)
    settings = await visit.settings()
    lines = await asyncio.to_thread(opened, await visit.file(visit.folder.touched(import_id)))
    if request.method == "HEAD":
        lines.close()
    pieces = touched_as_csv(lines, settings.delimiter)
    return download(request, pieces, f"sync_users-{import_id}.touched.csv", "text/csv")


async def touched_as_csv(lines: BinaryIO, delimiter: str) -> Pieces:
    """Yield the `lines` of a `touched.jsonl` as CSV in UTF-8 with BOM, as spreadsheets read it; close them.

    Cells that a spreadsheet would run as formulas are escaped.
    """
    with lines:
        yield codecs.BOM_UTF8 + _rows([TOUCHED], delimiter)
        while batch := await asyncio.to_thread(lambda: list(islice(lines, BATCH))):
            yield await asyncio.to_thread(_touched, batch, delimiter)


def _touched(lines: Iterable[bytes], delimiter: str) -> bytes:
    users = map(json.loads, lines)
    rows = [["" if user.get(name) is None else str(user[name]) for name in TOUCHED] for user in users]
    return _rows([[escape_formula(cell) for cell in row] for row in rows], delimiter)


async def users_as_csv(users: Users, settings: ImportSettings, wanted: Wanted = ALL) -> Pieces:
    """Yield the users in the format of a `sync_users.csv`, in the order of creation.

    The file of all users would change no user: it leaves out users whose creation was undone, and users without an
    identifier. A file of some users has each of them.
    """
    export, identity = Export(settings), identity_of(settings)
    if codecs.lookup(settings.encoding).name != "utf-8":
        yield codecs.BOM_UTF8  # a BOM overrides the encoding setting
    yield _rows([export.header], settings.delimiter)
    complete = wanted == ALL
    async with users.directory(identity) as directory:
        async for batch in directory.all_users(BATCH, known=complete, wanted=wanted):
            rows = [user for user in batch if identity.of(user)] if complete else batch
            yield await asyncio.to_thread(_csv, rows, export, settings.delimiter)


async def users_as_json_lines(users: Users, settings: ImportSettings, wanted: Wanted = ALL) -> Pieces:
    """Yield the users in the order of creation, one JSON object a line, in the form of the API's list of users."""
    async with users.directory(identity_of(settings)) as directory:
        async for batch in directory.all_users(BATCH, wanted=wanted):
            yield await asyncio.to_thread(_json_lines, batch)


def _csv(users: Iterable[ShownUser], export: Export, delimiter: str) -> bytes:
    return _rows([export.cells(user) for user in users], delimiter)


def _rows(rows: Iterable[Iterable[str]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _json_lines(users: Iterable[ShownUser]) -> bytes:
    return "".join(json.dumps(user, ensure_ascii=False) + "\n" for user in users).encode()
