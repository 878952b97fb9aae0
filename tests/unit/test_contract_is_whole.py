"""The contract suite calls every method that an engine must have, as read from the protocols and the tests."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from engine.store import Store
from importer.archive import Archive
from importer.queue.checksums import Checksums
from importer.users.users import Users
from importer.worker.results_folder import Results
from tests.support import ROOT

CONTRACT = ROOT / "tests" / "contract"
ROOTS = (Store, Users, Checksums, Archive, Results)
"""The protocols that an engine is entered by; their methods return the other protocols."""

PLAYED_IN = {
    "AccountStore": "tenants/test_tenants.py",
    "Applied": "users/test_importing.py",
    "Archive": "files/test_archive.py",
    "BanStore": "tenants/test_bans.py",
    "Checksums": "queue/test_checksums.py",
    "Directory": "users/test_directory.py",
    "FigureStore": "tenants/test_figures.py",
    "FoundPairs": "users/test_importing.py",
    "Hints": "web/test_hints.py",
    "History": "users/test_history.py",
    "Importing": "users/test_importing.py",
    "Invitations": "users/test_invitations.py",
    "KeyUseStore": "tenants/test_key_uses.py",
    "LinesBefore": "users/test_importing.py",
    "Memory": "users/test_memory.py",
    "Node": "tenants/test_nodes.py",
    "OutboxStore": "notify/test_outbox.py",
    "Queue": "queue",
    "Results": "files/test_results.py",
    "RowsAside": "users/test_importing.py",
    "RowsForLater": "users/test_importing.py",
    "RunStore": "runs",
    "SessionStore": "tenants/test_nodes.py",
    "SignInStore": "tenants/test_sign_ins.py",
    "Store": ".",
    "StoredLinks": "users/test_importing.py",
    "StoredUsers": "users/test_importing.py",
    "TenantStore": "tenants/test_tenants.py",
    "TokenStore": "tenants/test_tokens.py",
    "Undoing": "users/test_undoing.py",
    "Users": "users",
    "Watch": "web/test_hints.py",
}
"""The file or folder of the contract suite that calls the methods of each protocol."""


@cache
def protocols() -> dict[str, type[Any]]:
    """Return every protocol of an engine, by name."""
    found: dict[str, type[Any]] = {}
    waiting: list[type[Any]] = list(ROOTS)
    while waiting:
        each = waiting.pop()
        if each.__name__ not in found:
            found[each.__name__] = each
            waiting += [given for name in methods(each) for given in given_by(getattr(each, name))]
            waiting += [given for _, part in inspect.getmembers(each, is_part) for given in given_by(part.fget)]
    return found


def methods(protocol: type[Any]) -> list[str]:
    return sorted(name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if not name.startswith("_"))


def is_part(member: object) -> bool:
    return isinstance(member, property)


def given_by(method: Any) -> Iterator[type[Any]]:
    """Yield the protocols in the return type of a method, also inside a context manager."""
    given = get_type_hints(method, localns={"array": list}).get("return")  # Python 3.11 has no array[int] to evaluate
    for each in (given, *get_args(given)):
        if getattr(each, "_is_protocol", False) and each.__module__.partition(".")[0] in ("engine", "importer"):
            yield each


def called_in(place: str) -> set[str]:
    """Return the names of all methods called in `place`."""
    path = CONTRACT / place
    return {name for file in ([path] if path.is_file() else path.rglob("*.py")) for name in called_in_file(file)}


@cache
def called_in_file(file: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return {node.func.attr for node in nodes if isinstance(node.func, ast.Attribute)}


def test_every_protocol_has_a_contract_test() -> None:
    assert sorted(protocols()) == sorted(PLAYED_IN)


@pytest.mark.parametrize("name", PLAYED_IN)
def test_the_contract_suite_calls_every_method_of_a_protocol(name: str) -> None:
    called = called_in(PLAYED_IN[name])
    assert [method for method in methods(protocols()[name]) if method not in called] == []
