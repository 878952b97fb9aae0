"""Moves an installation: copy, compare, and only then give the target free.

1. The source gets a mark, and no server or command opens it from now on. The target gets one, too.
2. Tenants are copied one after the other. The target knows which of them are whole; a move that was killed goes on
   with the others.
3. Both places are read again, and compared.
4. If they are equal, the source is marked as moved, then the target loses its mark.

A kill at any moment leaves a place that is whole and has one of the marks, or the source with both: no state lets two
places be used.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ground.moments import rfc3339
from server.moving.checking import Report, compare
from server.moving.side import KEPT_MARKS, Side
from server.tenants.moves import SOURCE, TARGET, Marks, Move, is_same, marks_in, swap_source, unread, why_unused
from server.tenants.settings import TenantRefused

START_ONCE = "Then start one once more and stop it, and run this command again"
GIVE_UP_FIRST = (
    "Then give the move up: add --cancel. Start a server on that place once more and stop it, and move to a new place"
)
"""No server starts on a source that has a mark."""

Done = Callable[[str, int, int], None]
"""Gets the verb (`Copied`), the number of tenants that are done, and that of all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step of a move: it begins if it `is_new`, or goes on."""

    move: Move
    is_new: bool
    instead: Move | None = None
    """The move in the mark of the source that the new one takes the place of: nothing of it is in the target."""
    is_ended: bool = False
    """All was compared, and the source is marked as moved: only the mark of the target is left."""
    is_canceled: bool = False
    """A `cancel` was interrupted. The target may have been used since the move."""


def plan(
    source: Marks, target: Marks, *, target_is_empty: bool, is_lost: bool, new: Move, names: tuple[str, str]
) -> Plan:
    """Decide what to do: begin the move `new`, or go on. Raises TenantRefused. Pure.

    `is_lost`: the move has ended, and the target does not have its data. `names`: source and target in words.
    """
    here, there = names
    if source.target and (why := why_unused(here, source)):
        raise why.refusal()
    begun = source.source
    if begun and is_same(begun, target.target):
        assert target.target
        return Plan(begun, is_new=False, is_ended=begun.ended, is_canceled=target.target.canceled)
    if begun and not begun.is_known:
        raise unread(here).refusal()
    if begun and begun.ended:
        raise TenantRefused("moved", _why_moved(begun, target, there, is_lost=is_lost, here=here))
    if begun and begun.other != there:
        raise TenantRefused(
            "move_unfinished",
            f"{here} is being moved to {begun.other}, not to {there}. Name that with --to. To give that move up, add "
            "--cancel",
        )
    if begun and target == Marks() and not target_is_empty:
        raise _without_mark(here, there)
    if target.target or target.source or not target_is_empty:
        raise _not_empty(there)
    return Plan(new, is_new=True, instead=begun)


def _why_moved(begun: Move, target: Marks, there: str, *, is_lost: bool, here: str) -> str:
    """Return why a place that was moved is not moved again. "Nothing to do" is only said if the data are there."""
    if begun.other == there and target.target:
        return (
            f"{here} was moved to {there} before, but that is now the target of another move. If the data of {here} "
            "are not there any more, restore them from a backup to a new place"
        )
    if begun.other != there:
        return (
            f"{here} was moved to {begun.other} before, and not to {there}. Use that place, or move from there. To "
            f"use {here} again, without what has changed since, name that place with --to, and add --cancel"
        )
    if is_lost:
        return _lost(begun, here, there)
    return f"{here} was moved to {there} before. Nothing to do"


def _lost(begun: Move, source: str, target: str) -> str:
    """Return why a place is neither moved again nor used again whose target does not have its data."""
    ran = f" (the move ran{begun.on_host})" if begun.host else ""
    return (
        f"{source} was moved to {target}, but that does not have its data now. They may be on a disk that is not "
        f"mounted, or on another machine{ran}: then run the command there. If they are lost, restore them from a "
        "backup, or see docs/moving.md (The way back)"
    )


def _without_mark(source: str, target: str) -> TenantRefused:
    """Return the refusal of a move whose target has data: perhaps the source is a copy from before its end."""
    return TenantRefused(
        "move_unfinished",
        f"{source} is being moved to {target}, but that has data and no mark of this move. If all data of {source} "
        f"are there, use {target}. Else see docs/moving.md (The way back)",
    )


def _not_empty(target: str) -> TenantRefused:
    return TenantRefused(
        "not_empty", f"{target} has data already. Use a new database, or a data folder that is empty or absent"
    )


async def move(source: Side, target: Side, now: datetime, done: Done) -> Report:
    """Copy everything from `source` to `target`, compare both, and let only the target be used from then on.

    If the report has differences, the source can be used again after a `cancel`. Raises TenantRefused.
    """
    new = Move(secrets.token_hex(8), target.name, rfc3339(now), host=socket.gethostname())
    planned = await _planned(source, target, new)
    if planned.is_ended:  # a former process was killed at the end, or when it canceled the move
        report = Report(tenants=len(await target.tables.tenants()))
        if not planned.is_canceled:
            report = await _compared_again(source, target, done)
        await target.marks.drop(TARGET)
        return report
    begun = planned.move
    if planned.is_new:
        await _mark(source, target, planned)
    try:
        await _refuse_unready(source, target, done, is_new=planned.is_new)
    except Exception:
        if planned.is_new:  # nothing was copied
            await _unmark(source, target, begun)
        raise
    await _copy(source, target, done)
    report = await _compared(source, target, done)
    for side in (source, target):
        if await side.server_runs():
            report.differences.append(f"a server was started on {side.name} meanwhile")
    if not report.differences:
        if not await swap_source(source.marks, begun, begun.end()):
            raise TenantRefused(
                "moved",
                f"another command canceled the move of {source.name} meanwhile, or began it anew. So {target.name} "
                "is not used. To begin again, use a new place",
            )
        await target.marks.drop(TARGET)
    return report


async def _compared(source: Side, target: Side, done: Done) -> Report:
    count = len(await source.tables.tenants())
    return await compare(source, target, lambda number: done("Compared", number, count))


async def _compared_again(source: Side, target: Side, done: Done) -> Report:
    """Compare places of which the target still has its mark. Raises TenantRefused if that may be an older copy."""
    for tenant in await source.tables.tenants():
        if not await target.is_whole(tenant.name):
            raise _older(source.name, target.name, f"the tenant {tenant.name}")
    report = await _compared(source, target, done)
    if report.differences:
        raise _older(source.name, target.name, report.differences[0])
    return report


def _older(source: str, target: str, what: str) -> TenantRefused:
    return TenantRefused(
        "not_equal",
        f"{source} was moved to {target}, but that does not have the same data now: {what}. It may be a copy from "
        f"before the end of the move. Restore a newer one. To use {source} again, without what has changed since the "
        "move, add --cancel",
    )


async def cancel(source: Side, target: Side) -> bool:
    """Let the source be used again, and not the target. Return False if no move was begun. Raises TenantRefused.

    After a move that has ended, the sign-ins of the source end.
    """
    found, other = await marks_in(source.marks), await marks_in(target.marks)
    begun = found.source
    if begun is None:
        return False
    is_half = is_same(begun, other.target)
    if not begun.is_known:
        raise unread(source.name).refusal()
    if not is_half and begun.other != target.name:  # the right target would still be used
        verb = "was" if begun.ended else "is being"
        raise TenantRefused(
            "moved", f"{source.name} {verb} moved to {begun.other}, not to {target.name}. Name that with --to"
        )
    if other.source:  # its data are used there
        raise TenantRefused(
            "moved",
            f"{target.name} was moved on to {other.source.other}. First give that move up: with {target.name} as the "
            "source, headcount migrate --to TARGET --cancel",
        )
    await _refuse_other(source, target, begun, other)
    if begun.ended or is_half:
        await _refuse_running(source, target)
        # The data stay, but are of no use. First this mark: at no moment can both places be used.
        await target.marks.put(
            TARGET, Move(begun.id, source.name, begun.at, canceled=True, host=begun.host).to_text()
        )
        try:
            await _refuse_running(source, target)  # one that was started before it could see the mark
        except Exception:
            if other.target is None:
                await target.marks.drop(TARGET)
            raise
    if begun.ended:  # what was signed out, used or revoked in the target is still here
        await source.tables.end_sign_ins()
    if not await swap_source(source.marks, begun, None):
        raise TenantRefused(
            "move_unfinished", f"another command has just changed the mark of {source.name}. Run this again"
        )
    return True


async def _refuse_other(source: Side, target: Side, begun: Move, marks: Marks) -> None:
    """Raise TenantRefused if a target without the mark of the move may be another place with the same name.

    The right one would still be used, or be used later.
    """
    if is_same(begun, marks.target):
        return
    here, there = source.name, target.name
    is_lost = await _is_lost(source, target) if begun.ended else False
    if begun.ended and marks.target:
        if not marks.target.is_known:
            raise unread(there).refusal()
        raise TenantRefused("moved", _why_moved(begun, marks, there, is_lost=is_lost, here=here))
    if is_lost:
        raise TenantRefused("moved", _lost(begun, here, there))
    if not begun.ended and marks == Marks() and not await target.is_empty():
        raise _without_mark(here, there)


async def _is_lost(source: Side, target: Side) -> bool:
    """Return whether the target of a move that has ended has no tenant of the source.

    Another machine may have an installation of its own in a folder of this name.
    """
    mine, others = [
        {(tenant.name, tenant.created_at) for tenant in await side.tables.tenants()} for side in (source, target)
    ]
    return await target.is_empty() or (bool(mine) and mine.isdisjoint(others))


async def _planned(source: Side, target: Side, new: Move) -> Plan:
    begun = await marks_in(source.marks)
    return plan(
        begun,
        await marks_in(target.marks),
        target_is_empty=await target.is_empty(),
        is_lost=await _is_lost(source, target) if begun.source and begun.source.ended else False,
        new=new,
        names=(source.name, target.name),
    )


async def _mark(source: Side, target: Side, planned: Plan) -> None:
    """Put the marks of a move that begins. Raises TenantRefused if another move was faster: its marks stay.

    A move that begins anew has a new id. So if the former one still goes on, on another machine, it cannot end.
    """
    begun = planned.move
    if planned.instead:
        is_marked = await swap_source(source.marks, planned.instead, begun)
    else:
        is_marked = await source.marks.add(SOURCE, begun.to_text())
    if not is_marked:
        raise TenantRefused("move_unfinished", f"{source.name} is being moved by another command. Wait for its end")
    if not await target.marks.add(TARGET, Move(begun.id, source.name, begun.at, host=begun.host).to_text()):
        await swap_source(source.marks, begun, None)
        raise TenantRefused("not_empty", f"another command is moving data to {target.name}. Use a new place")
    if (await marks_in(target.marks)).source or not await target.is_empty():  # it has got data since it was looked at
        await _unmark(source, target, begun)
        raise _not_empty(target.name)


async def _unmark(source: Side, target: Side, begun: Move) -> None:
    """Remove the marks of a move that has copied nothing. If that is interrupted, the same move can begin again."""
    await target.marks.drop(TARGET)
    await swap_source(source.marks, begun, None)


async def _refuse_unready(source: Side, target: Side, done: Done, *, is_new: bool) -> None:
    """Raise TenantRefused if a server runs, or was killed before it has ended its work, or a tenant cannot be moved.

    Raises SecretRefused and HostKeyRefused if keys cannot be read or stored.
    """
    await _refuse_running(source, target)
    if await source.unfinished():
        raise TenantRefused(
            "unfinished",
            f"a server on {source.name} was killed or is frozen, so imports or uploads may be unfinished. End it. "
            + (START_ONCE if is_new else GIVE_UP_FIRST),
        )
    await source.host_keys()
    await target.open_secrets()
    tenants = await source.tables.tenants()
    for number, tenant in enumerate(tenants, 1):
        await source.prepare(tenant.name)
        await target.refuse_files(tenant.name, await source.facts(tenant.name))
        done("Inspected", number, len(tenants))


async def _refuse_running(*sides: Side) -> None:
    """Raise TenantRefused if a server runs on one of these places."""
    for side in sides:
        if await side.server_runs():
            raise TenantRefused("server_runs", f"a server runs on {side.name}. Stop all servers first")


async def _copy(source: Side, target: Side, done: Done) -> None:
    tenants = await source.tables.tenants()
    for number, tenant in enumerate(tenants, 1):
        if not await target.is_whole(tenant.name):
            await target.add(tenant, source)
        done("Copied", number, len(tenants))
    await target.put_host_keys(await source.host_keys())
    for name in KEPT_MARKS:
        if await source.marks.has(name):
            await target.marks.put(name, await source.marks.find(name) or "")
        else:
            await target.marks.drop(name)
    await target.tables.fill(lambda table: source.tables.rows(table, None), await source.tables.counters())
