"""Find the hooks of this server: in installed packages, and in the modules of HEADCOUNT_HOOKS.

A package names a module in the group `headcount.hooks` of its entry points. The functions of a module that are
decorated with `@hook` are its hooks. A module that cannot be imported does not stop the start: the database knows the
paths that its hooks had when it last loaded, and these refuse uploads.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from importlib.metadata import EntryPoint, distribution, distributions

from engine.runs import RunStore
from ground.words import counted
from headcount.hooks import NAME, Declared
from importer.errors import TryAgain
from server.runs.python.declarations import declarations
from server.runs.python.pool import why_not_imported
from server.runs.registry import RegisteredHook, Registry, Runnable
from server.runs.sources import Source, recalled, registry
from server.tenants.hook_settings import KnownHook, KnownHooks

log = logging.getLogger(__name__)

GROUP = "headcount.hooks"
"""The group of entry points; each names a module."""

MAX_ERROR = 300

Named = tuple[str, str, str | None]
"""A module, the package that it is from, and why it cannot be one of hooks; None: it may be."""

MakeRunnable = Callable[[Declared, str], Runnable | None]
"""Returns what runs a function that is declared in the module of this name."""


def not_run(declared: Declared, module: str) -> None:
    """Make nothing of a declared function: a command only lists it."""


async def find_hooks(
    modules: Sequence[str],
    store: RunStore | None,
    runnable: MakeRunnable = not_run,
    *,
    files: Sequence[Source] = (),
    remember: bool = False,
    env: Mapping[str, str] | None = None,
) -> Registry:
    """Import the modules of all hooks and return them, and those of `files`. `modules` are those of HEADCOUNT_HOOKS.

    With `remember`, as the server does, store the paths of each module that loaded, and log what cannot be used.
    Without a store, nothing is known of a module that cannot be imported but its name.

    With `env`, a process with this environment imports each module first: one that exits or never ends is listed.
    """
    named = _named(modules)
    unsafe = {} if env is None else await _unsafe(named, env)
    found = [*_sources(named, runnable, unsafe), *files]
    if store is not None:
        found = recalled([replace(source, remembered=await store.remembered(source.name)) for source in found])
    result = registry(found)
    if remember:
        if store is not None:
            await _remember(found, store)
        _log(found, result)
    return result


def known_hooks(hooks: Iterable[RegisteredHook]) -> KnownHooks:
    """Return the hooks, by name. A module that never loaded is one of its own name, if a hook may have it."""
    return {
        hook.name: KnownHook(hook.path, hook.declared.settings if hook.declared else None, hook.error)
        for hook in hooks
        if NAME.fullmatch(hook.name)
    }


def find_sources(modules: Sequence[str], runnable: MakeRunnable = not_run) -> list[Source]:
    """Import the modules of all hooks: of packages by name, then `modules`. Blocks.

    A function that two modules have is a hook of the first.
    """
    return _sources(_named(modules), runnable, {})


def _sources(named: Sequence[Named], runnable: MakeRunnable, unsafe: Mapping[str, str]) -> list[Source]:
    """Import these modules, but not those that are `unsafe`, for the reason given."""
    seen: set[int] = set()
    return [_load(name, package, why or unsafe.get(name), runnable, seen) for name, package, why in named]


async def _unsafe(named: Sequence[Named], env: Mapping[str, str]) -> dict[str, str]:
    """Return the modules that would end or hold this process, and why."""
    names = [name for name, _, why in named if why is None]
    found = await asyncio.gather(*(why_not_imported(name, env) for name in names))
    return {name: f"{name} cannot be imported: {why}" for name, why in zip(names, found, strict=True) if why}


def _named(modules: Sequence[str]) -> list[Named]:
    """Return each module once. Reads files of all installed packages."""
    if modules:
        _reach_current_folder()
    found: dict[str, Named] = {}
    for each in sorted(_installed(), key=lambda each: (each[1], each[0], each[2] or "")):
        found.setdefault(each[0], each)
    for name in modules:
        found.setdefault(name, (name, name, None))
    return [*found.values()]


def _installed() -> Iterator[Named]:
    """Yield the module of each entry point, its package, and why it cannot be used. A broken one hides no other."""
    seen = set()
    for number, each in enumerate(distributions(), 1):
        package = f"package {number}"
        try:
            if not each.entry_points.select(group=GROUP):
                continue
            package = each.metadata["Name"] or package
            if package in seen:
                continue
            seen.add(package)
            found = distribution(package).entry_points.select(group=GROUP)  # of the one that is imported
            yield from [_module_of(point.name, point.value, package) for point in found]
        except Exception as error:  # such as a file that is not text
            yield package, package, f"the entry points of {package} cannot be read: {_first_line(error)}"


def _module_of(name: str, value: str, package: str) -> Named:
    if (parts := EntryPoint.pattern.match(value)) is None:
        return value, package, f"{value} cannot be used: its entry point {name} does not name a module"
    why = f"{value} cannot be used: its entry point {name} must name a module only"
    return parts["module"], package, why if parts["attr"] else None


def _reach_current_folder() -> None:
    """Let modules of the current folder be imported: last, so that they hide no installed one."""
    with suppress(FileNotFoundError):
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)


def _load(name: str, package: str, why: str | None, runnable: MakeRunnable, seen: set[int]) -> Source:
    if why is not None:
        return Source(name, package, error=why)
    try:
        with redirect_stdout(sys.stderr):  # a command prints only its own output
            declared = [*declarations(importlib.import_module(name))]
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too: a module may raise anything
        return Source(name, package, error=f"{name} cannot be imported: {_first_line(error)}", cause=error)
    if not declared:
        return Source(name, package, error=f"{name} has no hooks: no function in it is decorated with @hook")
    new = [each for each in declared if id(each) not in seen]
    seen.update(map(id, new))
    return Source(name, package, [_registered(each, name, package, runnable) for each in new])


def _registered(declared: Declared, module: str, package: str, runnable: MakeRunnable) -> RegisteredHook:
    made = runnable(declared, module)
    return RegisteredHook(declared.name, declared.path, package, declared=declared, runnable=made)


def _first_line(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:
        said = ""
    text = f"{type(error).__name__}: {said}".strip().splitlines()[0].removesuffix(":").removesuffix(": ")
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:MAX_ERROR])


async def _remember(sources: Iterable[Source], store: RunStore) -> None:
    """Store the paths of each source that loaded, if they have changed."""
    for source in sources:
        now = [(hook.name, hook.path) for hook in source.hooks if hook.path is not None]
        if source.error is None and sorted(now) != sorted(source.remembered):
            with suppress(TryAgain):  # such as a full disk; the next start stores it
                await store.remember(source.name, now)


def _log(sources: Iterable[Source], found: Registry) -> None:
    if names := [f"{hook.name} at {hook.path}" for hook in found.hooks if hook.error is None]:
        log.info(
            "The server has %s: %s.",
            counted(len(names), "hook", "hooks"),
            ", ".join(names),
            extra={"event": "hooks_found"},
        )
    for source in sources:
        if source.error is not None:
            log.error(
                "The hooks of %s cannot be used: %s.", source.package, source.error, exc_info=source.cause,
                extra={"event": "hooks_unusable", "package": source.package},
            )  # fmt: skip
    broken = {source.error for source in sources if source.error is not None}
    for hook in found.hooks:
        if hook.error is not None and hook.error not in broken:
            log.error(
                "Hook %s of %s cannot be used: %s.", hook.name, hook.package, hook.error,
                extra={"event": "hook_unusable", "hook": hook.name, "package": hook.package},
            )  # fmt: skip
