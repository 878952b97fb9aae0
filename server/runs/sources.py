"""The hooks of all modules and files together, and why some of them cannot run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from headcount.hooks import OWN_NAME
from importer.queue.checksum import CHECKSUM_NAME
from server.files.patterns import Pattern, overlap
from server.runs.registry import RegisteredHook, Registry

OWN_PATHS = tuple(f"{folder}/{name}" for folder in ("", "/test") for name in ("sync_users.csv", CHECKSUM_NAME))
OWN_HOOK = RegisteredHook(OWN_NAME, OWN_PATHS[0], "headcount")
"""The hook that comes with Headcount, as it is listed."""


@dataclass(frozen=True, slots=True)
class Source:
    """One module, or one file of hooks.

    `name` is what the database knows it by, and `package` what it is from. `error` is why it cannot be used, and
    `cause` the exception; `remembered` are the hooks (name, path) that it had when it last loaded.
    """

    name: str
    package: str
    hooks: Sequence[RegisteredHook] = ()
    error: str | None = None
    cause: BaseException | None = field(default=None, compare=False)
    remembered: Sequence[tuple[str, str]] = ()


def registry(sources: Iterable[Source]) -> Registry:
    """Return the hooks of all sources. One that cannot run has an error, and then no other takes its uploads."""
    sources = list(sources)
    working = [hook for source in sources if source.error is None for hook in source.hooks]
    names = {hook.name for hook in working}
    lost = [hook for source in sources if source.error is not None for hook in _remembered(source, names)]
    hooks = [_judged(hook, working) for hook in working] + lost
    return Registry([_with_conflict(hook, hooks) for hook in hooks])


def recalled(sources: Iterable[Source]) -> list[Source]:
    """Return the sources, in which a wrong entry without a path has the path that is remembered for its name.

    If none is, it may be any hook that the source had and that is nowhere now: those stay, with the entry's error.
    So no path that a hook had is open to uploads because of a typing error.
    """
    sources = list(sources)
    hooks = [hook for source in sources for hook in source.hooks]
    names, paths = {hook.name for hook in hooks}, {hook.path for hook in hooks}
    return [replace(source, hooks=list(_recalled(source, names, paths))) for source in sources]


def equally_exact(one: str, other: str) -> bool:
    """Return whether a path can match both patterns, and neither is more exact than the other."""
    return overlap(Pattern(one), Pattern(other))


def _recalled(source: Source, names: Container[str], paths: Container[str | None]) -> Iterator[RegisteredHook]:
    known = dict(source.remembered)
    lost = [(name, path) for name, path in source.remembered if name not in names and path not in paths]
    for hook in source.hooks:
        if hook.error is None or hook.path is not None:
            yield hook
            continue
        yield replace(hook, path=known.get(hook.name))
        if hook.name not in known:
            yield from (RegisteredHook(name, path, hook.package, hook.error) for name, path in lost)
            lost = []


def _remembered(source: Source, taken: Iterable[str]) -> list[RegisteredHook]:
    """Return the hooks that a broken source had, but those that another source has now; at least one line."""
    kept = [(name, path) for name, path in source.remembered if name not in taken]
    if not kept:
        return [RegisteredHook(source.name, None, source.package, source.error)]
    return [RegisteredHook(name, path, source.package, source.error) for name, path in kept]


def _judged(hook: RegisteredHook, working: Sequence[RegisteredHook]) -> RegisteredHook:
    """Return the hook with the error that its own name or path is, if it is one."""
    error = hook.error
    if Counter(each.name for each in working)[hook.name] > 1:
        packages = ", ".join(sorted({str(each.package) for each in working if each.name == hook.name}))
        error = error or f"two hooks are called {hook.name} (in {packages}). Rename one"
    elif own := _own_path_of(hook):
        error = error or f"{own} belongs to {OWN_NAME}. Use another path"
    elif hook.path == "/test":
        error = error or "/test is a folder of the server. Use another path"
    return replace(hook, error=error, runnable=None) if error else hook


def _own_path_of(hook: RegisteredHook) -> str | None:
    """Return the path of `sync_users` that is the path of this hook, or a folder that it would need."""
    if hook.path is None:
        return None
    folders = {"/" + "/".join(folder) for folder in Pattern(hook.path).fixed}
    return next((own for own in OWN_PATHS if own == hook.path or own in folders), None)


def _with_conflict(hook: RegisteredHook, hooks: Sequence[RegisteredHook]) -> RegisteredHook:
    if hook.error is not None or hook.path is None:
        return hook
    for other in hooks:
        if other is hook or other.path is None:
            continue
        if Pattern(hook.path).parts in Pattern(other.path).fixed:
            error = f"{hook.path} is a folder of the hook {other.name} ({other.path}). Change a path"
            return replace(hook, error=error, runnable=None)
        if equally_exact(hook.path, other.path):
            error = (
                f"{hook.path} is as exact as {other.path} of the hook {other.name} ({other.package}), and one file "
                "can match both. Change a path"
            )
            return replace(hook, error=error, runnable=None)
    return hook
