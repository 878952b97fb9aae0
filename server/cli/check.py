"""`headcount check`: a dry run of a local file on a copy of the users. It makes no import and blocks none."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from ground.moments import rfc3339, utc_now
from importer.advice.advise import Question, advise_if_possible, deserves_advice
from importer.advice.model import Advice
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.report import Report
from importer.users.users import Users
from server.cli.advice_view import print_advice, print_toml
from server.cli.data import runs, tenants
from server.cli.output import Advance, harmless, json_option, print_json, progress
from server.cli.report_view import print_report
from server.interrupts import cleaned
from server.tenants.settings import TenantSettings
from server.tenants.settings_toml import in_toml

NO_IMPORT = 0
"""The id in the report. Ids of imports begin at 1; a check makes no import."""
REMOVALS = 100
FINE = {ImportState.COMPLETED, ImportState.UNCHANGED}


@click.command()
@click.argument("tenant")
@click.argument("file")
@click.option("--propose", "target", metavar="TOML", help="Write the suggested settings to this file.")
@json_option
def check(tenant: str, file: str, target: str | None, as_json: bool) -> int:
    """Show what FILE would do to the users of TENANT.

    A dry run: it changes nothing. FILE is a local path, or - for stdin. If other settings fit the file better, they
    are suggested, ready for `tenant load`. Exits with 1 if a row would be rejected, or the import held or failed.
    """
    folder = Path(tempfile.gettempdir()) / f"headcount-check-{secrets.token_hex(8)}"
    with cleaned(partial(_remove, folder)):  # outside of the event loop, which a second Ctrl-C ends at once
        folder.mkdir(0o700)
        return _check(folder, tenant, file, target, as_json)


def _remove(folder: Path) -> None:
    """Remove the copy of the users. A thread may still write files into it after Ctrl-C."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break


@runs
async def _check(folder: Path, tenant: str, file: str, target: str | None, as_json: bool) -> int:
    async with tenants() as opened:
        settings = await opened.settings(tenant)
        with progress() as advance:
            advance(0, f"Copying the users of {tenant}")
            users = await asyncio.to_thread(opened.users(tenant).copy, folder)
    with progress() as advance:
        advance(0, f"Reading {harmless(_name(file))}")
        copy = await asyncio.to_thread(_copy, file, folder / "upload.csv")
        now = utc_now()
        outcome = await _dry_run(tenant, file, copy, settings, users, folder / "messages", now, advance)
        advice = None
        if deserves_advice(outcome):
            advance(1, "Testing other settings")
            question = Question(tenant, copy, users, settings, outcome, now, copy=users)
            advice = (await advise_if_possible(question, folder / "tries", in_toml)).advice
    report = _report(tenant, outcome, rfc3339(now), advice)
    if as_json:
        if advice and advice.toml and target:
            Path(target).write_text(advice.toml, encoding="utf-8")
        print_json(report.to_json())
    else:
        messages = folder / "messages"
        touched = messages / f"{NO_IMPORT}.touched.jsonl"
        print_report(report, touched, f"Dry run of {_name(file)} for {tenant}", messages / f"{NO_IMPORT}.jsonl")
        if advice:
            print_advice(advice)
            print_toml(tenant, advice, target)
    return 0 if report.state in FINE and not report.counts.rejected else 1


async def _dry_run(
    tenant: str,
    file: str,
    copy: Path,
    settings: TenantSettings,
    users: Users,
    messages: Path,
    now: datetime,
    advance: Advance,
) -> Outcome:
    name = _name(file)
    job = Job(
        tenant=tenant,
        import_id=NO_IMPORT,
        file=copy,
        name=name,
        dry_run=True,
        written=None,
        approval=None,
        now=now,
    )
    text = f"Reading {harmless(name)}"
    return await run_import(job, users, settings, messages, progress=lambda share: advance(share, text))


def _name(file: str) -> str:
    return "stdin" if file == "-" else Path(file).name


def _report(tenant: str, outcome: Outcome, started: str, advice: Advice | None) -> Report:
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
        advice=advice.to_json() if advice else None,
        messages=outcome.messages,
    )


def _copy(file: str, copy: Path) -> Path:
    """Copy the file, so that a process that still writes it cannot change what is checked."""
    with click.open_file(file, "rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
    return copy
