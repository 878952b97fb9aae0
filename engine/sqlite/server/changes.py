"""Changes of a state in headcount.db: the same for imports and for runs of hooks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.imports import begins
from engine.sqlite.server.ledger import Inside, Ledger
from engine.sqlite.server.outbox import put_in_outbox
from importer.queue.notices import Notice
from importer.queue.states import Step


def one(step: Step) -> str:
    """Return the condition of one row, by tenant and id, in a state in which `step` begins."""
    return f"tenant = ? AND id = ? AND {begins(step)}"


async def end(ledger: Ledger, notices: Iterable[Notice], now: str, statement: str, *values: object) -> bool:
    """Write a change and its notices in one transaction: both, or neither if the statement changes no row.

    The number of the change is part of the topic, so an end that comes a second time is reported again, whatever the
    clock says.
    """

    def both(db: Inside) -> bool:
        if db.execute(statement, values).rowcount <= 0:
            return False
        ((move,),) = db.execute("SELECT max(id) FROM moves").fetchall()
        put_in_outbox(db, [replace(each, topic=f"{each.topic} #{move}") for each in notices], now)
        return True

    return await ledger.at_once(both)
