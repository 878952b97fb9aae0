"""The notifications of a run of a hook: the content of a mail, and the body of a webhook.

As those of imports, they name pages and no commands, and have no content of the file but what the hook said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.runs import Run
from ground.words import as_sentence, counted
from importer.file.letters import one_line
from importer.model import ImportState
from server.notify.layout import NO_LINKS, Body, Link, Links, Section
from server.notify.letters import MESSAGES_SHOWN, Event, shown_time
from server.runs.report import run_json

EVENTS: Mapping[ImportState, Event] = {
    ImportState.COMPLETED: "run.completed",
    ImportState.COMPLETED_WITH_ERRORS: "run.completed_with_errors",
    ImportState.FAILED: "run.failed",
    ImportState.ABORTED: "run.aborted",
}
"""Webhook event names by final state; an ignored file sends none."""

SUBJECTS: Mapping[ImportState, str] = {
    ImportState.COMPLETED_WITH_ERRORS: "{name} was processed, with errors",
    ImportState.FAILED: "{name} was not processed",
    ImportState.ABORTED: "the upload of {name} was refused or interrupted",
}
"""The subjects of mails, by final state. A file without errors sends none: a hook may complete hundreds a day."""

FIND = "Open file {id} on the page Files. Ask the operator if you do not know its address."


def run_data(run: Run) -> dict[str, object]:
    """Return the tenant and the report of the run."""
    return {"tenant": run.tenant, **run_json(run)}


def run_mail(run: Run, links: Links = NO_LINKS) -> Body | None:
    """Return the mail about a run that ended, or an upload that became none; None if it needs no work."""
    if run.state not in SUBJECTS:
        return None
    name = one_line(run.name)
    return Body(
        subject=f"[Headcount] {run.tenant}: {SUBJECTS[run.state].format(name=name)}",
        first=_happened(run, name),
        link=Link("See the file", links.one_run(run.tenant, run.id), FIND.format(id=run.id)),
        sections=tuple(_sections(run)),
        facts=(
            ("Company", run.tenant),
            ("File", f"{one_line(run.path)}, {counted(run.size, 'byte', 'bytes')}"),
            ("Hook", run.hook),
            ("Uploaded", shown_time(run.uploaded_at)),
            ("Report", f"/results/{run.hook}-{run.id}.json"),
        ),
    )


def _happened(run: Run, name: str) -> str:
    said = f" {as_sentence(run.message)}" if run.message else ""
    if run.state is ImportState.ABORTED:
        return f"The upload of {name} to {run.tenant} was not accepted, and must be sent again.{said}"
    if run.state is ImportState.FAILED:
        return f"The file {name} of {run.tenant} was not processed: see its page, and ask the operator.{said}"
    return f"The file {name} of {run.tenant} was processed, and its errors must be fixed.{said}"


def _sections(run: Run) -> Iterator[Section]:
    if run.outcome and run.outcome.counts:
        yield Section("Summary:", tuple(f"{name}: {number:,}" for name, number in run.outcome.counts.items()))
    if run.outcome and run.outcome.messages:
        shown = run.outcome.messages[:MESSAGES_SHOWN]
        more = len(run.outcome.messages) > len(shown)
        rest = ["More messages are on the page and in the report."] if more else []
        yield Section("Messages:", (*map(_message, shown), *rest))


def _message(message: Mapping[str, object]) -> str:
    line, column = message.get("line"), message.get("column")
    places = [f"line {line}"] if line else []
    places += [f"column {column}"] if column else []
    where = f"{', '.join(places)}: " if places else ""
    return f"{where[:1].upper()}{where[1:]}{message.get('message')}"
