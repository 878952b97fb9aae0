"""`headcount check`: what a file would do, without an import and without anybody waiting for it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from pathlib import Path

import click

from importer.model import ImportState, Outcome, Report
from importer.moments import rfc3339, utc_now
from importer.run import Job, run_import
from server.cli.data import runs, tenants
from server.cli.output import json_option, print_json
from server.cli.report_view import print_report
from server.tenant_settings import TenantSettings

NO_IMPORT = 0
"""The id in the report: imports are counted from 1, and this is none."""
FINE = {ImportState.COMPLETED, ImportState.UNCHANGED}


@click.command()
@click.argument("tenant")
@click.argument("file")
@json_option
@runs
async def check(tenant: str, file: str, as_json: bool) -> int:
    """Say what FILE (- for stdin) would do to the users of TENANT, and change nothing.

    Ends with 1 if a row would be rejected, or the import held or failed.
    """
    with tempfile.TemporaryDirectory(prefix="headcount-check-") as name:
        folder = Path(name)
        async with tenants() as opened:
            settings = await opened.settings(tenant)
            await asyncio.to_thread(_snapshot, opened.folder(tenant).users_db, folder / "users.db")
        copy = await asyncio.to_thread(_copy, file, folder / "upload.csv")
        report = await _try(tenant, file, copy, settings, folder)
        if as_json:
            print_json(report.to_json())
        else:
            touched = folder / "messages" / f"{NO_IMPORT}.touched.jsonl"
            print_report(report, touched, f"What {Path(file).name} would do to {tenant}")
    return 0 if report.state in FINE and not report.counts.rejected else 1


async def _try(tenant: str, file: str, copy: Path, settings: TenantSettings, folder: Path) -> Report:
    started = utc_now()
    job = Job(
        tenant=tenant,
        import_id=NO_IMPORT,
        file=copy,
        name="stdin" if file == "-" else Path(file).name,
        dry_run=True,
        written=None,
        approval=None,
        now=started,
    )
    outcome = await run_import(job, folder / "users.db", settings, folder / "messages")
    return _report(tenant, outcome, rfc3339(started))


def _report(tenant: str, outcome: Outcome, started: str) -> Report:
    return Report(
        id=NO_IMPORT,
        tenant=tenant,
        state=outcome.state,
        dry_run=True,
        file=outcome.file,
        uploaded_at=started,
        started_at=started,
        finished_at=rfc3339(utc_now()),
        counts=outcome.counts,
        guard=outcome.guard,
        message=outcome.message,
        messages=outcome.messages,
    )


def _snapshot(database: Path, copy: Path) -> None:
    """The users of this moment, also while an import writes."""
    source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    target = sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        target.close()
        source.close()


def _copy(file: str, copy: Path) -> Path:
    """The file's own copy, so that whoever still writes it can't disturb us."""
    with click.open_file(file, "rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
    return copy
