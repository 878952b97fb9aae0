"""Imports point one way: the source follows the layers of docs/architecture.md.

A package imports only packages below it. A room (a folder of a package) imports only rooms with a lower number, never
one with the same. A pure module imports only pure modules, and nothing that reads, writes, waits, logs or asks for
the time.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import ROOT

PACKAGES = ("ground", "importer", "keys", "engine", "server", "headcount")
MAY_IMPORT = {
    "ground": {"ground"},
    "importer": {"importer", "ground"},
    "keys": {"keys", "ground"},
    "engine": {"engine", "importer", "ground"},
    "server": {"server", "engine", "importer", "keys", "ground", "headcount"},
    "headcount": {"headcount", "server"},
}

ROOMS = {
    "importer": {
        "": 0, "file": 1, "rules": 2, "messages": 3, "users": 4, "queue": 5, "reconcile": 5, "advice": 6, "undo": 6,
        "worker": 7,
    },
    "engine": {"": 0, "moving": 1, "shared": 2, "postgres": 3, "s3": 3, "sqlite": 2},
    "server": {
        "": 0, "files": 1, "tenants": 2, "backup": 3, "hooks": 3, "runs": 3, "sftp": 3, "upkeep": 3, "doctor": 4,
        "notify": 4, "places": 5, "moving": 6, "web": 6, "app": 7, "cli": 8,
        "__main__": 9,
    },
}  # fmt: skip
"""The height of each room of a package; "" is its ground, the modules beside the rooms."""

DRIVERS = {
    "aiosqlite": "engine.sqlite",
    "sqlite3": "engine.sqlite",
    "psycopg": "engine.postgres",
    "obstore": "engine.s3",
}
"""The drivers of databases and of storage, and the engine that each is for."""
KNOW_AN_ENGINE = {
    "server.backup.copies",
    "server.backup.placed",
    "server.backup.restoring",
    "server.backup.taking",
    "server.doctor.gathering",
    "server.moving.folder",
    "server.tenants.local.folder",
    "server.tenants.local.home",
}
KNOW_WHERE_FILES_ARE = {"server.moving.folder", "server.places.database", "server.places.folder"}
"""The modules that choose where the files of tenants are. All others know only `server.files.files`."""
KNOW_THE_SECOND = {"server.moving.database", "server.places.database", "server.tenants.shared.home"}
KNOW_SSH = {
    "headcount._serving",
    "keys.host",
    "keys.public",
    "server.sftp.algorithms",
    "server.sftp.auth",
    "server.sftp.channel",
    "server.sftp.connection",
    "server.sftp.filesystem",
    "server.sftp.handler",
    "server.sftp.listener",
    "server.sftp.listing",
    "server.sftp.wire",
}

PURE = {
    "engine.examined",
    "engine.shared.files",
    "engine.imports",
    "engine.landing",
    "engine.moving.tables",
    "engine.shared.objects",
    "headcount.hooks",
    "ground.addresses",
    "ground.words",
    "importer.queue.allowed",
    "ground.waits",
    "importer.queue.checksum",
    "importer.queue.entry",
    "importer.queue.order",
    "importer.queue.pause",
    "importer.queue.states",
    "importer.file.reader",
    "importer.reconcile.named",
    "importer.rules.custom",
    "importer.file.decoding",
    "importer.file.edges",
    "importer.file.kinds",
    "importer.file.misread",
    "importer.file.non_users",
    "importer.file.blocks",
    "importer.file.comparing",
    "importer.file.sidebyside",
    "importer.file.splitting",
    "importer.rules.emails",
    "importer.errors",
    "importer.rules.meanings",
    "importer.rules.ragged",
    "importer.rules.rows",
    "importer.rules.dates",
    "importer.rules.dayforms",
    "importer.rules.months",
    "importer.rules.doubts",
    "importer.rules.languages",
    "importer.rules.nonvalues",
    "importer.rules.windowszones",
    "importer.folder",
    "importer.file.formulas",
    "ground.refusals",
    "importer.advice.guessing",
    "importer.advice.dates",
    "importer.file.exports",
    "importer.advice.names",
    "importer.advice.states",
    "importer.advice.columns",
    "importer.advice.headers",
    "importer.advice.judging",
    "importer.advice.leavers",
    "importer.advice.model",
    "importer.advice.numbers",
    "importer.advice.sample",
    "importer.advice.values",
    "importer.advice.words",
    "importer.file.legacy",
    "importer.file.columns",
    "importer.file.header",
    "importer.file.leavers",
    "importer.file.letters",
    "importer.users.columns",
    "importer.users.history",
    "importer.users.importing.addresses",
    "importer.users.importing.applied",
    "importer.users.importing.before",
    "importer.users.importing.importing",
    "importer.users.importing.later",
    "importer.users.importing.links",
    "importer.users.importing.pairs",
    "importer.users.importing.roster",
    "importer.users.runs",
    "importer.users.invitations",
    "importer.users.memory",
    "importer.users.search",
    "importer.users.settled",
    "importer.users.switching",
    "importer.users.undoing",
    "importer.rules.identity",
    "importer.model",
    "importer.nearest",
    "importer.report",
    "importer.requests",
    "importer.messages.grouping",
    "importer.messages.whole_file",
    "importer.messages.repeated",
    "importer.reconcile.leaving",
    "importer.rules.left",
    "importer.messages.oneperson",
    "importer.reconcile.plan",
    "importer.reconcile.seen",
    "importer.advice.proposal",
    "importer.undo.values",
    "importer.rules.railszones",
    "importer.file.records",
    "importer.worker.put_off",
    "importer.worker.retention",
    "importer.rules.rulebook",
    "importer.rules.cells",
    "importer.rules.settings",
    "importer.file.synonyms",
    "importer.rules.timezones",
    "keys.errors",
    "keys.public",
    "keys.ring",
    "server.backup.manifest",
    "server.backup.selecting",
    "server.doctor.database",
    "server.doctor.entries",
    "server.doctor.facts",
    "server.doctor.findings",
    "server.doctor.judging",
    "server.notify.digest",
    "server.notify.layout",
    "server.notify.letters",
    "server.notify.retries",
    "server.notify.templates",
    "server.runs.python.answers",
    "server.runs.ends",
    "server.runs.registry",
    "server.runs.rush",
    "server.runs.outside.said",
    "server.runs.sources",
    "server.setting_errors",
    "server.tenants.invitation_template",
    "server.tenants.hook_settings",
    "server.tenants.setting_texts",
    "server.files.contracts",
    "server.moving.files",
    "server.files.files",
    "server.descriptors",
    "server.seldom",
    "server.hourly",
    "server.sftp.caps",
    "server.sftp.handles",
    "server.sftp.handshakes",
    "server.sftp.bans.penalties",
    "server.sftp.proxy_header",
    "server.files.hooks",
    "server.files.limits",
    "server.files.near_names",
    "server.files.paths",
    "server.files.patterns",
    "server.files.sentences",
    "server.files.shared.facts",
    "server.files.written",
    "server.cli.layout",
    "server.web.api.examples",
    "server.web.api.reading",
    "server.web.crowd",
    "server.web.pages.help.markdown",
    "server.web.pages.imports.chart",
    "server.web.pages.imports.naming",
    "server.web.pages.sentences",
    "server.web.pages.settings.choices",
    "server.web.pages.settings.controls",
    "server.web.pages.settings.form",
    "server.web.pages.settings.hooks",
    "server.web.pages.settings.items",
    "server.web.pages.settings.mapping",
    "server.web.pages.settings.meanings",
    "server.web.pages.settings.notation",
    "server.web.pages.settings.sample",
    "server.web.pages.settings.words",
    "server.web.pages.words",
    "server.web.slowing",
}
ACTING = {
    "aiofiles", "aiosqlite", "asyncio", "ctypes", "fastapi", "fcntl", "logging", "obstore", "os",
    "prometheus_client", "psycopg", "random", "secrets", "shutil", "signal", "socket", "sqlite3", "starlette",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uvicorn",
}  # fmt: skip
PURE_BUT_FOR = {"ground.moments": {"utc_now"}}
"""Names that a pure module may not import, by the module that has them."""
SERVERS_OWN = {
    "click", "fastapi", "jinja2", "markupsafe", "prometheus_client", "pydantic_settings", "rich", "starlette",
    "uvicorn",
}  # fmt: skip
NOT_FOR = {
    "ground": SERVERS_OWN | {"asyncssh"} | DRIVERS.keys(),
    "importer": SERVERS_OWN | {"asyncssh"},
    "keys": SERVERS_OWN | DRIVERS.keys(),
    "engine": SERVERS_OWN | {"asyncssh"},
    "server": set[str](),
    "headcount": SERVERS_OWN | {"asyncssh"} | DRIVERS.keys(),
}
A_CLIENT = "headcount._serving"
"""For tests of hooks: it starts a server, and uploads files as any client does. So it is above all packages."""

THE_ONE_READER_OF_THE_ENVIRONMENT = "server.settings"


def modules() -> dict[str, Path]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


MODULES = modules()


def parsed(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@cache
def imported_by(name: str) -> tuple[str, ...]:
    """Every module that `name` imports, wherever in its source; `from a import b` gives `a.b` if that is a module."""
    return tuple(_imports_of(name))


def _imports_of(name: str) -> Iterator[str]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} line {node.lineno}: imports are absolute here"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else base


def imported_at_first(name: str) -> Iterator[str]:
    """Every module that `name` imports when it is imported itself."""
    for node in parsed(name).body:
        if isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))


def package_of(name: str) -> str:
    return name.partition(".")[0]


def test_a_package_imports_only_those_below_it() -> None:
    for name in MODULES.keys() - {A_CLIENT}:
        package = package_of(name)
        for other in imported_by(name):
            top = package_of(other)
            assert top not in PACKAGES or top in MAY_IMPORT[package], f"{name} imports {other}"
            assert top not in NOT_FOR[package], f"{name} imports {other}, which is for server"


PUBLIC = {"headcount", "headcount.hooks"}
"""The modules that hooks import, and the server too: they know nothing of the server."""


def test_the_public_face_is_below_the_server_and_the_command_above_it() -> None:
    for name in MODULES:
        known = {other for other in imported_by(name) if package_of(other) in PACKAGES}
        if name in PUBLIC:
            assert known <= PUBLIC, name
        elif package_of(name) != "headcount":
            assert {other for other in known if package_of(other) == "headcount"} <= PUBLIC, name


def room_of(name: str) -> str:
    """The room a module is in: "" for the ground of its package, and for packages that have no rooms."""
    rooms = ROOMS.get(package_of(name), {})
    room = name.partition(".")[2].partition(".")[0]
    return room if room in rooms else ""


def test_a_room_imports_only_rooms_below_it() -> None:
    for name in (name for name in MODULES if package_of(name) in ROOMS):
        package, room = package_of(name), room_of(name)
        rooms = ROOMS[package]
        for other in imported_by(name):
            if package_of(other) == package and (there := room_of(other)) != room:
                assert rooms[there] < rooms[room], f"{name} imports {other}, which stands no lower"


def test_only_the_server_as_a_whole_knows_its_sftp_side() -> None:
    """Pages, notifications and commands get the values they need of it as arguments."""
    knowing = {
        name
        for name in MODULES
        if room_of(name) != "sftp" and any(other.startswith("server.sftp") for other in imported_by(name))
    }
    assert knowing == {"server.app"}


def test_only_these_modules_know_the_engine() -> None:
    """Only the modules that open a store; all others get one, and know its protocol."""
    knowing = {
        name
        for name in MODULES
        if package_of(name) != "engine" and any(other.startswith("engine.sqlite") for other in imported_by(name))
    }
    assert knowing == KNOW_AN_ENGINE


def test_every_folder_of_a_package_is_a_room() -> None:
    for package, rooms in ROOMS.items():
        folders = {name.split(".")[1] for name in MODULES if name.startswith(f"{package}.") and name.count(".") > 1}
        folders |= {
            name.split(".")[1]
            for name in MODULES
            if name.startswith(f"{package}.") and MODULES[name].name == "__init__.py"
        }
        assert folders <= set(rooms)


def test_every_package_is_named_where_it_is_built() -> None:
    """A folder that pyproject.toml does not name exists in a checkout, but not in an installation."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {".".join(file.relative_to(ROOT).parent.parts) for file in MODULES.values()}
    assert folders == set(named)


def test_only_an_engine_knows_a_driver_of_a_database() -> None:
    for name in MODULES:
        used = {package_of(other) for other in imported_by(name)} & DRIVERS.keys()
        assert {driver for driver in used if not f"{name}.".startswith(f"{DRIVERS[driver]}.")} == set(), name


def test_only_the_modules_of_a_shared_place_know_the_second_engine() -> None:
    """Its driver is an extra. Only a function imports them: an installation without it imports everything else."""
    knowing = {
        name
        for name in MODULES
        if package_of(name) == "server" and any(other.startswith("engine.postgres") for other in imported_by(name))
    }
    assert knowing == KNOW_THE_SECOND
    others = {name for name in MODULES if package_of(name) == "server"} - KNOW_THE_SECOND
    need_it = {name for name in others if KNOW_THE_SECOND & {*imported_at_first(name)}}
    assert need_it == set()


def test_only_a_function_imports_the_driver_of_s3() -> None:
    """It is an extra: an installation without it imports everything else. The form of a URL needs no driver."""
    knowing = {
        name
        for name in MODULES
        if not name.startswith("engine.s3.")
        and any(other.startswith("engine.s3") and other != "engine.s3.urls" for other in imported_by(name))
    }
    assert knowing == {"server.places"}
    assert not [each for each in imported_at_first("server.places") if each.startswith("engine.s3.objects")]


def test_only_these_modules_know_ssh() -> None:
    """The list only gets shorter: all others get values as arguments."""
    assert {name for name in MODULES if "asyncssh" in map(package_of, imported_by(name))} == KNOW_SSH


def test_only_the_code_that_builds_the_server_knows_where_files_are() -> None:
    places = ("server.files.local", "server.files.shared")
    knowing = {
        name
        for name in MODULES
        for place in places
        if not name.startswith(place) and any(other.startswith(place) for other in imported_by(name))
    }
    assert knowing == KNOW_WHERE_FILES_ARE


def test_a_module_that_says_pure_is_pure() -> None:
    texts = {name: ast.get_docstring(parsed(name)) for name in MODULES}
    assert {name for name, text in texts.items() if text and re.search(r"\bPure\.", text)} <= PURE


def test_a_pure_module_imports_only_pure_ones() -> None:
    for name in PURE:
        for other in imported_by(name):
            top = package_of(other)
            if top in PACKAGES and other not in PURE_BUT_FOR:
                assert other in PURE, f"{name} is pure and imports {other}, which is not"
            assert top not in ACTING, f"{name} is pure and imports {other}"


def test_a_pure_module_does_not_import_the_clock() -> None:
    """A pure module does not import a module that has the clock either: `moments.utc_now` would be one step away."""
    for name in PURE:
        for node in ast.walk(parsed(name)):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & PURE_BUT_FOR.keys(), f"{name} line {node.lineno}"
            elif isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                acting = PURE_BUT_FOR.get(node.module or "", set[str]())
                whole = {each for each in names if f"{node.module}.{each}" in PURE_BUT_FOR}
                assert not names & (acting | whole | {"*"}), f"{name} line {node.lineno} imports {names}"


def test_only_the_settings_read_the_environment() -> None:
    readers = {"environ", "getenv"}
    for name in MODULES.keys() - {THE_ONE_READER_OF_THE_ENVIRONMENT}:
        text = MODULES[name].read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if any(each in text for each in readers) else ():
            used = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            assert used not in readers, f"{name} line {node.lineno} reads the environment"
