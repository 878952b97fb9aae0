"""Find what Headcount's source uses inside asyncssh, beyond what the library exports.

It finds names imported from its modules that it does not export, and private attributes of its objects, also those
named in a string for `getattr`. It finds attributes that are replaced on its objects, and methods that override those
of classes it does not export. An attribute is "Class.name" if the source shows the class, else "name".
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import asyncssh

from tests.support import ROOT

ROOMS = ("server/sftp", "keys")
"""The only modules that know the library: `test_only_these_modules_know_ssh` checks this."""

LIBRARY = Path(asyncssh.__file__).parent
_PRIVATE = re.compile(r"_[a-z]\w*", re.ASCII)


@cache
def leaned_on() -> frozenset[str]:
    """Return every internal name that the source uses."""
    return frozenset(name for room in ROOMS for file in sorted((ROOT / room).glob("*.py")) for name in _of_file(file))


def said_in_source(name: str) -> bool:
    """Return whether the last part of `name` occurs anywhere in the source of these packages."""
    word = re.compile(rf"\b{re.escape(name.rpartition('.')[2])}\b")
    return any(word.search(file.read_text(encoding="utf-8")) for room in ROOMS for file in (ROOT / room).glob("*.py"))


def _of_file(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if not any(_imports_the_library(node) for node in ast.walk(tree)):
        return
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for node in tree.body:
        found = getattr(module, node.name) if isinstance(node, ast.ClassDef) else None
        if found is not None:
            yield from _overridden(found)
        for inner in ast.walk(node):
            yield from _of_node(inner, module, found)


def _of_node(node: ast.AST, module: ModuleType, within: type | None) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asyncssh."):
        place = (node.module or "").partition(".")[2]
        yield from (f"{place}.{alias.name}" for alias in node.names if not _exported(alias.name))
    elif isinstance(node, ast.ImportFrom) and node.module == "asyncssh":
        yield from (alias.name for alias in node.names if isinstance(getattr(asyncssh, alias.name), ModuleType))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if _PRIVATE.fullmatch(node.value) and node.value in _known():
            yield node.value
    elif isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
        owner = _owner(node.value, module, within)
        if owner is not None and node.attr.startswith("_"):
            yield from (f"{base.__name__}.{node.attr}" for base in _bases_with(owner, node.attr)[:1])
        elif (
            owner is None and node.attr in _known() and (node.attr.startswith("_") or isinstance(node.ctx, ast.Store))
        ):
            yield node.attr


def _imports_the_library(node: ast.AST) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(name.partition(".")[0] == "asyncssh" for name in names)


def _owner(value: ast.expr, module: ModuleType, within: type | None) -> type | None:
    """Return the class whose attribute is used, if the source shows it: by `self`, `super()` or its name."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super":
        return within
    if not isinstance(value, ast.Name):
        return None
    if value.id in {"self", "cls"}:
        return within
    named = getattr(module, value.id, None)
    return named if isinstance(named, type) else None


def _bases_with(owner: type, name: str) -> list[type]:
    """Return the library's classes among `owner` and its bases that have an attribute of this name, nearest first."""
    return [base for base in owner.__mro__ if name in _classes().get(f"{base.__module__}.{base.__name__}", ())]


def _overridden(ours: type) -> Iterator[str]:
    for name in vars(ours):
        theirs = [] if name.startswith("__") else _bases_with(ours, name)
        if theirs and not any(_exported(base.__name__) for base in theirs):
            yield f"{theirs[0].__name__}.{name}"


def _exported(name: str) -> bool:
    return not name.startswith("_") and hasattr(asyncssh, name)


@cache
def _known() -> frozenset[str]:
    """Return the names of all attributes of all classes of the library."""
    return frozenset(name for names in _classes().values() for name in names)


@cache
def _classes() -> dict[str, set[str]]:
    """Return the attributes of each class of the library, as "module.Class": methods, and assigned attributes."""
    found: dict[str, set[str]] = {}
    for file in sorted(LIBRARY.glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[f"asyncssh.{file.stem}.{node.name}"] = set(_attributes(node))
    return found


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield inner.name
        elif isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and _is_self(inner.value):
            yield inner.attr
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "self"
