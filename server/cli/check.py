"""`headcount check`: what a file would do, without an import and without anybody waiting for it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ground.moments import rfc3339, utc_now
from importer.advice.proposal import SAMPLE_BYTES, Proposal, propose
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.report import Report
from server.cli.data import runs, tenants
from server.cli.output import harmless, json_option, print_json
from server.cli.report_view import print_report, summary
from server.tenants.settings import TenantSettings, changed
from server.tenants.settings_toml import to_toml

NO_IMPORT = 0
"""The id in the report: imports are counted from 1, and this is none."""
FINE = {ImportState.COMPLETED, ImportState.UNCHANGED}


@click.command()
@click.argument("tenant")
@click.argument("file")
@click.option("--propose", "target", metavar="TOML", help="Write the settings that are proposed to this file.")
@json_option
@runs
async def check(tenant: str, file: str, target: str | None, as_json: bool) -> int:
    """Say what FILE (- for stdin) would do to the users of TENANT, and change nothing.

    Where other settings would fit the file better, they are proposed, ready for `tenant load`. Ends with 1 if a row
    would be rejected, or the import held or failed.
    """
    with tempfile.TemporaryDirectory(prefix="headcount-check-") as name:
        folder = Path(name)
        async with tenants() as opened:
            settings = await opened.settings(tenant)
            await asyncio.to_thread(_snapshot, opened.folder(tenant).users_db, folder / "users.db")
        copy = await asyncio.to_thread(_copy, file, folder / "upload.csv")
        report = await _try(tenant, file, copy, settings, folder)
        if not as_json:
            messages = folder / "messages"
            touched = messages / f"{NO_IMPORT}.touched.jsonl"
            print_report(
                report, touched, f"What {Path(file).name} would do to {tenant}", messages / f"{NO_IMPORT}.jsonl"
            )
        proposed = await _propose(tenant, file, copy, settings, folder)
    if proposed and target and proposed.toml:
        Path(target).write_text(proposed.toml, encoding="utf-8")
    if as_json:
        print_json({**report.to_json(), "proposal": proposed.to_json() if proposed else None})
    elif proposed:
        _print_proposed(tenant, proposed, target)
    return 0 if report.state in FINE and not report.counts.rejected else 1


@dataclass(frozen=True, slots=True)
class Proposed:
    """What was proposed for a file; the settings as a file, and what they would come to (None: nothing to change)."""

    proposal: Proposal
    toml: str | None = None
    report: Report | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "settings": self.proposal.changes,
            "reasons": self.proposal.reasons,
            "gaps": self.proposal.gaps,
            "toml": self.toml,
            "report": self.report.to_json() if self.report else None,
        }


async def _propose(tenant: str, file: str, copy: Path, settings: TenantSettings, folder: Path) -> Proposed | None:
    """What would make the file fit, tried out; None if there is nothing to say."""
    with copy.open("rb") as opened:
        content = opened.read(SAMPLE_BYTES)
    whole = copy.stat().st_size <= SAMPLE_BYTES
    proposal = await asyncio.to_thread(propose, content, settings, whole=whole)
    if not proposal.changes:
        return Proposed(proposal) if proposal.gaps else None
    fitting = changed(settings, proposal.changes)
    report = await _try(tenant, file, copy, fitting, folder)
    return Proposed(proposal, to_toml(tenant, fitting), report)


def _print_proposed(tenant: str, proposed: Proposed, target: str | None) -> None:
    click.echo("\nSettings that would fit this file better" if proposed.toml else "\nWhat no setting can mend")
    for sentence in (*proposed.proposal.reasons, *proposed.proposal.gaps):
        click.echo(f"  {harmless(sentence)}")
    report = proposed.report
    if report is None or proposed.toml is None:
        return
    click.echo(f"  With them: {report.state.value}, {harmless(report.message or summary(report.counts.to_json()))}")
    if target:
        click.echo(f"  They are in {target}. Look at them, then: headcount tenant load {tenant} {target}")
        return
    click.echo(f"  Save these as a file, look at them, then: headcount tenant load {tenant} FILE\n")
    for line in proposed.toml.splitlines():
        click.echo(harmless(line))


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
