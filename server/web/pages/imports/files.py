"""The downloads of one import."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from importer.advice.kept import report_of
from importer.file.formulas import escape_formula
from importer.rules.identity import Identity, identity_of
from importer.users.users import Users
from server.web.access import Looking
from server.web.downloads import Pieces, disposition, download
from server.web.exports import send_rejected_rows, send_touched, send_uploaded_file
from server.web.pages.words import value_text

router = APIRouter(prefix="/tenants/{tenant}/imports/{import_id:number}")

COLUMNS = ("at", "identifier", "name", "field", "old", "new", "undo")
BOM = "\ufeff"
"""Without it, Excel reads UTF-8 as a legacy encoding."""


@router.get("/errors.csv")
async def download_errors(request: Request, visit: Looking, import_id: int) -> Response:
    """Send the rejected rows as they were uploaded, to be fixed and sent again."""
    return await send_rejected_rows(request, visit, import_id)


@router.get("/file")
async def download_file(request: Request, visit: Looking, import_id: int) -> Response:
    """Send the uploaded file."""
    return await send_uploaded_file(request, visit, import_id)


@router.get("/touched.csv")
async def download_touched(request: Request, visit: Looking, import_id: int) -> Response:
    """Send the users that a held import or a dry run would change."""
    return await send_touched(request, visit, import_id)


@router.get("/report.json")
async def download_report(visit: Looking, import_id: int) -> Response:
    """Send the report, as it is in /results."""
    entry = await visit.entry(import_id)
    report = await report_of(visit.archive, visit.folder, entry)
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    headers = {"content-disposition": disposition(f"sync_users-{import_id}.json")}
    return Response(text, media_type="application/json", headers=headers)


@router.get("/changes.csv")
async def download_changes(request: Request, visit: Looking, import_id: int) -> Response:
    """Send every change of the import, one row for each field."""
    await visit.entry(import_id)
    pieces = _changes_as_csv(visit.users, identity_of(await visit.settings()), import_id)
    return download(request, pieces, f"sync_users-{import_id}.changes.csv", "text/csv")


async def _changes_as_csv(users: Users, identity: Identity, import_id: int) -> Pieces:
    yield (BOM + _lines([COLUMNS])).encode()
    async with users.history(identity) as history:
        async for page in history.of_import(import_id):
            yield (await asyncio.to_thread(_lines, map(_cells, page))).encode()


def _cells(change: Mapping[str, Any]) -> list[str]:
    return [escape_formula(value_text(change[name])) for name in COLUMNS]


def _lines(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
