"""Operations that an engine does completely or not at all, each with its preparation and what is visible after."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.bans import Ban
from engine.figures import Figures, Known, Pruned
from engine.key_uses import Use
from engine.store import Store
from engine.tenants import Tenant
from engine.tokens import Role
from importer.model import Guard, GuardReason, ImportState
from importer.queue.notices import Channel, Notice
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.invitations import Asked
from importer.users.settled import SettingChange, Settled
from tests.support.engines import COMPANIES, ENGINES
from tests.support.importing import Company, people
from tests.support.queues import NOON, enqueue, found, outcome, promise, run_to
from tests.support.runs import arrive, end_in, ended, put_in_line, start
from tests.support.waiting import DEADLINE_S

AT, LATER = "2026-03-01T12:00:00.000Z", "2026-03-01T13:00:00.000Z"
NOTICES = [Notice("acme", channel, "import 1", "{}") for channel in Channel]
USES = {"SHA256:a": Use(AT, "192.0.2.7"), "SHA256:b": Use(AT, "192.0.2.8")}
FIGURES = Figures(5, 1, None, 90, 1000, inviting=True, logged=7)
NOW = Asked(NOON, (NOON.timestamp(), NOON.timestamp() + 3600), on_hire_date=False)
ALL: dict[str, Any] = {
    "deactivate_missing": True,
    "invitations": "immediately",
    "detect_truncation": False,
    "max_deactivations_percent": 100,
    "max_updates_percent": 100,
    "max_creations_percent": 100,
}
TENANTS = ("acme", "globex", "initech")
MOST = 100


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on a store with the tenants `acme` and `globex`, after `before` was done."""

    do: Callable[[Store], Awaitable[object]]
    before: Callable[[Store], Awaitable[object]] | None = None

    async def prepare(self, engine: str, folder: Path) -> None:
        async with ENGINES[engine](folder)("acme", "globex") as store:
            if self.before:
                await self.before(store)

    async def act(self, engine: str, folder: Path, begins: Callable[[], None], ends: Callable[[], None]) -> None:
        async with ENGINES[engine](folder)() as store:
            begins()
            await self.do(store)
            ends()

    async def seen(self, engine: str, folder: Path) -> str:
        async with ENGINES[engine](folder)() as store:
            queue, seen = store.imports(), list[Any]()
            for tenant in TENANTS:
                seen += [await queue.page(tenant), await queue.under_way(tenant), await queue.past(tenant)]
                seen += [await store.outbox().newest(tenant, MOST), await store.key_uses().of(tenant)]
                seen += [await store.runs().page(tenant), await store.runs().copies_needed(tenant)]
                seen += [await queue.checksums.folders(tenant), await store.tenants().find(tenant)]
            seen += [await store.tokens().list(), await store.figures().read(), await queue.lately_moved(MOST)]
            seen += [await store.runs().heads(), await store.runs().cut_off(), await store.runs().remembered("bills")]
            seen += [await store.bans().list(now=AT, latest=LATER), await store.bans().sources()]
            seen += [await store.sign_ins().find(each, now=AT, latest=LATER) for each in (b"1", b"2")]
            seen.append(await store.sign_ins().find_link(b"3", now=AT, latest=LATER))
        return told(seen)


@dataclass(frozen=True, slots=True)
class UsersOperation:
    """An operation on the users of a company that has none, after `before` was done."""

    do: Callable[[Company], Awaitable[object]]
    before: Callable[[Company], Awaitable[object]] | None = None

    async def prepare(self, engine: str, folder: Path) -> None:
        company = COMPANIES[engine](folder)
        if self.before:
            await self.before(company)

    async def act(self, engine: str, folder: Path, begins: Callable[[], None], ends: Callable[[], None]) -> None:
        company = COMPANIES[engine](folder)
        company.imports = 5  # above the ids of `before`
        begins()
        await self.do(company)
        ends()

    async def seen(self, engine: str, folder: Path) -> str:
        kept, effects = COMPANIES[engine](folder).kept, list[Any]()
        async with kept.snapshot() as directory:
            seen: list[Any] = [page async for page in directory.all_users()]
            seen += [page async for page in directory.all_users(known=True)]
        async with kept.memory() as memory:
            await memory.prune_effects(lambda shown: [*map(effects.append, shown)][:0])
            seen += [effects, await memory.imports_with_history()]
        async with kept.history(BY_ADDRESS) as history:
            seen += [await history.page_of_import(each) for each in range(9)]
        async with kept.invitations(DEADLINE_S) as invitations:
            seen += [await invitations.waiting(), await invitations.due(NOW, MOST)]
        return told([*seen, kept.take_stock(DEADLINE_S), await kept.settings_changes(MOST)])


def told(seen: object) -> str:
    """Return what was seen, without what differs at each try: random marks, and the time of the clock."""
    return re.sub(r"[0-9a-f]{32}", "mark", re.sub(rf"(?!{AT}|{LATER})20\d\d-\d\d-\d\dT[\d:.]+Z", "time", repr(seen)))


# Operations on a store


async def queued(store: Store) -> None:
    await enqueue(store.imports())


async def claimed(store: Store) -> None:
    await store.imports().claim("acme", await enqueue(store.imports()))


async def held(store: Store) -> None:
    await run_to(store.imports(), await enqueue(store.imports()), ImportState.HELD)


async def held_for_length(store: Store) -> None:
    await claimed(store)
    entry = await found(store.imports(), 1)
    guard = Guard((GuardReason.POSSIBLY_TRUNCATED,), 10, 20, 15)
    ended = entry.ended(replace(outcome(ImportState.HELD), guard=guard), NOON)
    assert await store.imports().finish(ended, published=True)


async def applied(store: Store) -> None:
    await run_to(store.imports(), await enqueue(store.imports()), ImportState.COMPLETED)


async def finish(store: Store) -> None:
    entry = (await found(store.imports(), 1)).ended(outcome(ImportState.COMPLETED), NOON)
    assert await store.imports().finish(entry, published=True, notices=NOTICES)


async def end_upload(store: Store) -> None:
    entry = (await found(store.imports(), 1)).never_ran(ImportState.ABORTED, "Interrupted.", NOON)
    assert await store.imports().end_upload(entry, published=True, notices=NOTICES)


async def proves_whole(store: Store) -> None:
    await store.imports().checksum_landed("acme", "ab" * 32, dry_run=False)
    assert (await found(store.imports(), 1)).state is ImportState.QUEUED


async def run_queued(store: Store) -> None:
    await put_in_line(store.runs())


async def run_started(store: Store) -> None:
    await start(store.runs(), await put_in_line(store.runs()))


async def run_ends(store: Store) -> None:
    run = ended(await store.runs().require("acme", 1), ImportState.FAILED)
    assert await store.runs().finish(run, published=True, notices=NOTICES)


async def run_requeued(store: Store) -> None:
    run = await store.runs().require("acme", 1)
    assert await store.runs().requeue(run, message="Later.", error="ValueError", not_before=9.0)


async def run_ignored(store: Store) -> None:
    run = ended(await store.runs().require("acme", 1), ImportState.IGNORED)
    assert await store.runs().end_upload(run, published=True, notices=NOTICES)


async def run_failed(store: Store) -> None:
    await end_in(store.runs(), await put_in_line(store.runs()), ImportState.FAILED)


async def add_token(store: Store, secret: bytes = b"t") -> None:
    assert await store.tokens().add(secret, "acme", Role.OWNER, created_at=AT, expires_at=None, comment="")


async def signed_in(store: Store) -> None:
    await add_token(store)
    (token,) = await store.tokens().list()
    await store.sign_ins().open(b"1", token, now=AT, ends=LATER, latest=LATER)


async def link_sent(store: Store) -> None:
    await add_token(store)
    (token,) = await store.tokens().list()
    await store.sign_ins().add_link(b"3", token, now=AT, ends=LATER, latest=LATER)


async def move_token(store: Store) -> None:
    assert await store.tokens().edit(1, lambda token, _: replace(token, email="ann@acme.example"))


async def sign_in_later(store: Store) -> None:
    (token,) = await store.tokens().list()
    await store.sign_ins().open(b"2", token, now=LATER, ends=LATER, latest=LATER)


async def everything(store: Store) -> None:
    await applied(store)
    await signed_in(store)
    await store.outbox().put(NOTICES, now=AT)
    await store.key_uses().write("acme", USES, None)
    await store.figures().write({"acme": Known(("look", FIGURES), "sound", None)})
    await store.imports().checksum_landed("acme", "c" * 64, dry_run=False)
    await run_failed(store)


async def banned(store: Store) -> None:
    bans = [Ban("192.0.2.1", LATER, "why"), Ban("192.0.2.2", LATER, "why")]
    await store.bans().write(bans, [], known=())


async def write_bans(store: Store) -> None:
    bans = [Ban("192.0.2.2", LATER, "more"), Ban("192.0.2.3", LATER, "why")]
    await store.bans().write(bans, ["192.0.2.1"], known={"192.0.2.1", "192.0.2.2"})


async def told_and_waiting(store: Store) -> None:
    await store.outbox().put(NOTICES, now=AT)
    (message,) = await store.outbox().due(Channel.MAIL, (0.0, 0.0))
    await store.outbox().end(message.id, "sent", None, now=AT)


WHOLE = Known(("look", FIGURES), "sound", Pruned("what", LATER))

OF_STORE = {
    "an upload is promised": Operation(lambda store: promise(store.imports())),
    "an upload lands": Operation(
        lambda store: store.imports().landed("acme", 1), lambda store: promise(store.imports())
    ),
    "an upload lands with its checksum": Operation(
        lambda store: store.imports().landed("acme", 1, checksum="a" * 64), lambda store: promise(store.imports())
    ),
    "an upload becomes no import": Operation(end_upload, lambda store: promise(store.imports())),
    "an import is claimed": Operation(lambda store: store.imports().claim("acme", 1, correction=True), queued),
    "an import is queued again": Operation(
        lambda store: store.imports().requeue("acme", 1, message="later"), claimed
    ),
    "an import ends": Operation(finish, claimed),
    "an import is approved": Operation(
        lambda store: store.imports().approve("acme", 1, by="Ann", users=frozenset({1})), held
    ),
    "an import is discarded": Operation(lambda store: store.imports().discard("acme", 1, by="Ann"), held),
    "a checksum proves an import complete": Operation(proves_whole, held_for_length),
    "an undo is asked for": Operation(lambda store: store.imports().undo("acme", None, by="Ann"), applied),
    "imports are deleted": Operation(lambda store: store.imports().delete("acme", [1]), applied),
    "an upload for a hook is promised": Operation(lambda store: arrive(store.runs())),
    "an upload for a hook lands": Operation(
        lambda store: store.runs().landed("acme", 1), lambda store: arrive(store.runs())
    ),
    "an upload becomes no run": Operation(run_ignored, lambda store: arrive(store.runs())),
    "a run is claimed": Operation(lambda store: start(store.runs(), 1), run_queued),
    "a run is queued again": Operation(run_requeued, run_started),
    "a run ends": Operation(run_ends, run_started),
    "a run is run again": Operation(lambda store: store.runs().rerun("acme", 1), run_failed),
    "runs are deleted": Operation(lambda store: store.runs().delete("acme", [1]), run_failed),
    "the paths of a module are remembered": Operation(
        lambda store: store.runs().remember("bills", [("a", "/a/*"), ("b", "/b/*")]),
        lambda store: store.runs().remember("bills", [("a", "/old/*"), ("c", "/c/*")]),
    ),
    "a tenant is added": Operation(lambda store: store.tenants().add(Tenant("initech", AT, 3))),
    "a tenant is removed": Operation(lambda store: store.tenants().remove("acme"), everything),
    "a token is added": Operation(add_token),
    "a token is removed with its sessions": Operation(lambda store: store.tokens().remove(1), signed_in),
    "a token gets another address, and its links end": Operation(move_token, link_sent),
    "a session is opened, another is over": Operation(sign_in_later, signed_in),
    "uses of keys are written": Operation(
        lambda store: store.key_uses().write("acme", {"SHA256:c": Use(LATER, "192.0.2.9")}, {"SHA256:a", "SHA256:c"}),
        lambda store: store.key_uses().write("acme", USES, None),
    ),
    "bans are written": Operation(write_bans, banned),
    "figures are written": Operation(lambda store: store.figures().write({"acme": WHOLE, "globex": WHOLE})),
    "notices are put": Operation(lambda store: store.outbox().put(NOTICES, now=AT)),
    "a topic is closed": Operation(
        lambda store: store.outbox().close_topic("acme", "import 1", now=LATER), told_and_waiting
    ),
    "all waiting messages are dropped": Operation(
        lambda store: store.outbox().drop_waiting("sending was off", now=LATER), told_and_waiting
    ),
    "a try of a message begins": Operation(
        lambda store: store.outbox().begin(1, not_before=9.0), lambda store: store.outbox().put(NOTICES, now=AT)
    ),
}

# Operations on users


async def imported(company: Company, *names: str, job_title: str) -> None:
    done = await company.run(people(*names, job_title=job_title), **ALL)
    assert done.state is ImportState.COMPLETED


async def two_imports(company: Company) -> None:
    await imported(company, "ann", "ben", job_title="Cook")
    await imported(company, "ann", "cy", job_title="Boss")


def told_apart(_: object) -> Settled:
    kept = {"custom_fields": '[{"key": "staff"}]', "identifier": '"staff"'}
    changes = [SettingChange(AT, "Ann", key, "null", value) for key, value in kept.items()]
    return Settled(kept, changes, Identity("staff"), means_otherwise=True)


async def numbered(company: Company) -> None:
    await company.run(people("ann", staff="1"), custom_fields=({"key": "staff"},))
    await company.run(people("ben", staff="2"), custom_fields=({"key": "staff"},))


async def begin_invitation(company: Company) -> None:
    async with company.kept.invitations(DEADLINE_S) as invitations:
        assert await invitations.begin(1, NOW, lambda _: NOW.waits[0] + 60)


async def prune_effects(company: Company) -> None:
    async with company.kept.memory() as memory:
        await memory.prune_effects(lambda effects: [each.id for each in effects])


async def pruned(company: Company) -> None:
    await two_imports(company)
    await prune_effects(company)


async def prune_changes(company: Company) -> None:
    async with company.kept.memory() as memory:
        assert await memory.prune_changes(1, MOST)


OF_USERS = {
    "users are imported": UsersOperation(
        lambda company: imported(company, "ben", "dora", job_title="Chef"), two_imports
    ),
    "an import is undone": UsersOperation(lambda company: company.undo(2), two_imports),
    "a user is protected": UsersOperation(
        lambda company: company.kept.set_protected("ann@example.com", True, BY_ADDRESS), two_imports
    ),
    "settings are changed": UsersOperation(lambda company: company.kept.change_settings(told_apart), numbered),
    "an invitation begins": UsersOperation(begin_invitation, two_imports),
    "effects are pruned": UsersOperation(prune_effects, two_imports),
    "history is pruned": UsersOperation(prune_changes, pruned),
}

OPERATIONS: dict[str, Operation | UsersOperation] = {**OF_STORE, **OF_USERS}
