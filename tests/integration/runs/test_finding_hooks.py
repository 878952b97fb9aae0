"""Hooks are found in real packages and modules, and one that cannot be imported hides no other."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from headcount.hooks import Declared
from server.runs.finding import find_hooks, find_sources
from server.runs.outside.hooks_toml import read_hooks_file
from server.runs.python import pool
from server.runs.python.child import declared_in
from server.runs.sources import registry
from server.settings import environment_of_hooks
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.cli import run_cli
from tests.support.installation import installation, open_tenants

HOOK = """
from headcount import hook

@hook("/{name}/*.csv", name="{name}")
def run(delivery):
    pass
"""

ENTRY = """
[[hooks]]
name = "scans"
path = "/scans/*.pdf"
command = ["cat"]
"""


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Leave no module of a test behind. The current folder is empty."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if name.startswith("hooks_of_"):
            del sys.modules[name]


@pytest.fixture
def here() -> Path:
    return Path.cwd()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of installed packages, empty."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    return site


def install(site: Path, package: str, module: str, text: str, entry: str | None = None) -> None:
    """Install a package with one module, as pip does."""
    (site / f"{module}.py").write_text(dedent(text))
    folder = site / f"{package.replace('-', '_')}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[headcount.hooks]\nmine = {entry or module}\n")


def listed(*modules: str) -> list[tuple[str, str | None, str, str | None]]:
    found = registry(find_sources(modules))
    return [(each.name, each.path, each.package, each.error) for each in found.hooks]


def test_the_hooks_of_an_installed_package_are_found(installed: Path) -> None:
    install(installed, "acme-invoices", "hooks_of_acme", HOOK.format(name="invoices"))
    assert listed() == [("invoices", "/invoices/*.csv", "acme-invoices", None)]


def test_the_hooks_of_a_module_in_the_current_folder_are_found(here: Path) -> None:
    (here / "hooks_of_mine.py").write_text(HOOK.format(name="invoices"))
    assert listed("hooks_of_mine") == [("invoices", "/invoices/*.csv", "hooks_of_mine", None)]


def test_a_module_of_the_current_folder_hides_no_installed_one(here: Path, installed: Path) -> None:
    (installed / "hooks_of_two.py").write_text(HOOK.format(name="installed"))
    (here / "hooks_of_two.py").write_text(HOOK.format(name="local"))
    assert [each[0] for each in listed("hooks_of_two")] == ["installed"]


def test_an_entry_point_with_extras_names_its_module(installed: Path) -> None:
    install(installed, "acme", "hooks_of_acme", HOOK.format(name="invoices"), entry="hooks_of_acme [all]")
    assert listed() == [("invoices", "/invoices/*.csv", "acme", None)]


def test_a_module_that_is_installed_and_named_is_found_once(installed: Path) -> None:
    install(installed, "acme-invoices", "hooks_of_acme", HOOK.format(name="invoices"))
    assert [each[:3] for each in listed("hooks_of_acme")] == [("invoices", "/invoices/*.csv", "acme-invoices")]


def test_a_function_that_two_modules_have_is_one_hook(here: Path) -> None:
    (here / "hooks_of_a.py").write_text(HOOK.format(name="a"))
    (here / "hooks_of_b.py").write_text("from hooks_of_a import run\nagain = run\n")
    assert listed("hooks_of_a", "hooks_of_b") == [("a", "/a/*.csv", "hooks_of_a", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import hooks_of_nobody", "ModuleNotFoundError: No module named 'hooks_of_nobody'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: "),
        ("raise SystemExit", "SystemExit"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class Odd(Exception):\n    def __str__(self): raise self\nraise Odd", "Odd"),
        ("import sys\nsys.modules[__name__] = 3", "TypeError: vars()"),
        ("raise ValueError('two\\nlines')", "ValueError: two"),
        ("raise ValueError('\\x1b[31m')", "ValueError: \ufffd[31m"),
        (HOOK.format(name="Wrong"), "ValueError: hook: name must be 1 to 31"),
    ],
)
def test_a_module_that_cannot_be_imported_hides_no_other(here: Path, text: str, said: str) -> None:
    (here / "hooks_of_broken.py").write_text(text)
    (here / "hooks_of_mine.py").write_text(HOOK.format(name="invoices"))
    works, broken = listed("hooks_of_broken", "hooks_of_mine")
    assert works == ("invoices", "/invoices/*.csv", "hooks_of_mine", None)
    assert broken[:3] == ("hooks_of_broken", None, "hooks_of_broken")
    assert broken[3] is not None
    assert broken[3].startswith(f"hooks_of_broken cannot be imported: {said}")


@pytest.mark.parametrize(
    "odd",
    [
        "def __getattr__(self, name): raise RuntimeError('Working outside of application context.')",
        "__class__ = property(lambda self: 1 / 0)",
        "__hash__ = None\n    def __getattr__(self, name): return self",
    ],
)
def test_an_object_that_answers_no_question_hides_no_hook(here: Path, odd: str) -> None:
    """Such as `django.conf.settings` and `flask.current_app`; the process of the hook finds it by the same rule."""
    code = f"class Odd:\n    {odd}\nodd = Odd()\n" + HOOK.format(name="invoices")
    (here / "hooks_of_mine.py").write_text(code)
    assert listed("hooks_of_mine") == [("invoices", "/invoices/*.csv", "hooks_of_mine", None)]
    assert declared_in("hooks_of_mine", "invoices").function is sys.modules["hooks_of_mine"].run


def test_an_entry_point_without_a_module_is_listed_and_hides_no_other(installed: Path) -> None:
    install(installed, "bad", "hooks_of_bad", "", entry="headcount-invoices")
    install(installed, "acme", "hooks_of_acme", HOOK.format(name="invoices"))
    said = "headcount-invoices cannot be used: its entry point mine does not name a module"
    assert listed() == [
        ("invoices", "/invoices/*.csv", "acme", None),
        ("headcount-invoices", None, "bad", said),
    ]


def test_a_package_that_cannot_be_read_is_listed_and_hides_no_other(installed: Path) -> None:
    for package, text in (("garbled", b"\xff\xfe"), ("torn", b"[headcount.hooks]\nmine\n")):
        install(installed, package, f"hooks_of_{package}", "")
        (installed / f"{package}-1.0.dist-info" / "entry_points.txt").write_bytes(text)
    install(installed, "acme", "hooks_of_acme", HOOK.format(name="invoices"))
    works, *broken = listed()
    assert works == ("invoices", "/invoices/*.csv", "acme", None)
    assert len(broken) == 2
    assert all(" cannot be read: " in (error or "") for _, _, _, error in broken)


def test_the_version_of_a_package_that_is_imported_counts(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(installed, "acme", "hooks_of_old", HOOK.format(name="old"))
    (first := tmp_path / "first").mkdir()
    monkeypatch.syspath_prepend(str(first))
    install(first, "acme", "hooks_of_new", HOOK.format(name="new"))
    assert [name for name, *_ in listed()] == ["new"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os; os._exit(3)", "its process exited with 3"),
        ("import ctypes; ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("import time; time.sleep(10_000)", "its module was not imported within 1 s"),
    ],
)
async def test_a_module_that_would_end_or_hold_the_server_hides_no_other(
    here: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    if "sleep" in text:
        monkeypatch.setattr(pool, "LOAD_S", 1)
    (here / "hooks_of_broken.py").write_text(text)
    (here / "hooks_of_mine.py").write_text(HOOK.format(name="invoices"))
    modules = ["hooks_of_broken"] if "sleep" in text else ["hooks_of_broken", "hooks_of_mine"]
    found = await find_hooks(modules, None, env=environment_of_hooks())
    lines = [(hook.name, hook.error) for hook in found.hooks]
    assert lines[-1] == ("hooks_of_broken", f"hooks_of_broken cannot be imported: {said}")
    assert lines[:-1] == [("invoices", None)] * (len(modules) - 1)


def test_a_module_without_hooks_is_listed_with_the_reason(here: Path) -> None:
    (here / "hooks_of_none.py").write_text("def run(delivery): ...\n")
    said = "hooks_of_none has no hooks: no function in it is decorated with @hook"
    assert listed("hooks_of_none") == [("hooks_of_none", None, "hooks_of_none", said)]


def test_an_entry_point_that_names_a_function_is_listed_with_the_reason(installed: Path) -> None:
    install(installed, "acme", "hooks_of_acme", HOOK.format(name="invoices"), entry="hooks_of_acme:run")
    said = "hooks_of_acme:run cannot be used: its entry point mine must name a module only"
    assert listed() == [("hooks_of_acme", None, "acme", said)]


@pytest.mark.logs("hooks_found")
async def test_the_server_logs_its_hooks(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "server")
    (here / "hooks_of_a.py").write_text(HOOK.format(name="a"))
    (here / "hooks_of_b.py").write_text(HOOK.format(name="b"))
    await find_hooks([], None, remember=True)
    await find_hooks(["hooks_of_a", "hooks_of_b"], None, remember=True)
    assert caplog.messages == ["The server has 2 hooks: a at /a/*.csv, b at /b/*.csv."]


@pytest.mark.logs("hooks_unusable", "hook_unusable")
async def test_the_server_logs_what_cannot_be_used(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    (here / "hooks_of_broken.py").write_text("1 / 0")
    (here / "hooks_of_a.py").write_text(HOOK.format(name="a"))
    (here / "hooks_of_b.py").write_text(HOOK.format(name="a"))
    why = "cannot be imported: ZeroDivisionError: division by zero"
    await find_hooks(["hooks_of_broken", "hooks_of_a", "hooks_of_b"], None, remember=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"The hooks of hooks_of_broken cannot be used: hooks_of_broken {why}.",
        "Hook a of hooks_of_a cannot be used: two hooks are called a (in hooks_of_a, hooks_of_b). Rename one.",
        "Hook a of hooks_of_b cannot be used: two hooks are called a (in hooks_of_a, hooks_of_b). Rename one.",
    ]
    assert "1 / 0" in caplog.text


def test_what_runs_a_hook_is_made_of_its_declaration_and_module(here: Path) -> None:
    (here / "hooks_of_mine.py").write_text(HOOK.format(name="invoices"))
    made: list[tuple[Declared, str]] = []
    (found,) = registry(find_sources(["hooks_of_mine"], lambda *facts: made.append(facts))).hooks
    assert found.declared is not None
    assert made == [(found.declared, "hooks_of_mine")]
    assert found.declared.function is sys.modules["hooks_of_mine"].run


def test_hook_list_shows_sync_users_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "hooks_of_mine.py").write_text(HOOK.format(name="invoices") + "print('noise')\n")
    (here / "data").mkdir()
    installation(here / "data").use(monkeypatch)
    monkeypatch.setenv("HEADCOUNT_HOOKS", "hooks_of_mine")
    ran = run_cli("hook", "list", "--json")
    assert ran.json == [
        {"name": "sync_users", "path": "/sync_users.csv", "package": "headcount", "error": None},
        {"name": "invoices", "path": "/invoices/*.csv", "package": "hooks_of_mine", "error": None},
    ]
    assert "noise" in ran.err
    assert run_cli("hook", "list").text.splitlines() == [
        "NAME        PATH             PACKAGE",
        "sync_users  /sync_users.csv  headcount",
        "invoices    /invoices/*.csv  hooks_of_mine",
    ]


def test_hook_list_says_why_a_hook_cannot_be_used(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "data").mkdir()
    installation(here / "data").use(monkeypatch)
    monkeypatch.setenv("HEADCOUNT_HOOKS", "hooks_of_nobody")
    ran = run_cli("hook", "list")
    assert ran.code == 0
    assert "hooks_of_nobody cannot be imported: ModuleNotFoundError: No module named" in ran.text
    if chosen_engine() == EMBEDDED:
        assert list((here / "data").iterdir()) == []


def test_the_entries_of_a_file_are_listed_after_the_modules(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "hooks_of_python.py").write_text(HOOK.format(name="invoices"))
    entry = '[[hooks]]\nname = "{}"\npath = "{}"\ncommand = ["{}"]\n'
    file = here / "hooks.toml"
    file.write_text(
        entry.format("scans", "/scans/*.pdf", "cat")
        + entry.format("invoices", "/bills/*.csv", "cat")
        + entry.format("lost", "/lost/*.csv", "no-such-program")
    )
    monkeypatch.setenv("HEADCOUNT_HOOKS", "hooks_of_python")
    monkeypatch.setenv("HEADCOUNT_HOOKS_FILE", str(file))
    ran = run_cli("hook", "list", "--json")
    twice = f"two hooks are called invoices (in {file}, hooks_of_python). Rename one"
    assert [(each["name"], each["path"], each["error"]) for each in ran.json] == [
        ("sync_users", "/sync_users.csv", None),
        ("invoices", "/invoices/*.csv", twice),
        ("scans", "/scans/*.pdf", None),
        ("invoices", "/bills/*.csv", twice),
        ("lost", "/lost/*.csv", "the program no-such-program cannot be found or run"),
    ]


def test_a_file_that_is_missing_hides_no_hook(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "hooks_of_python.py").write_text(HOOK.format(name="invoices"))
    monkeypatch.setenv("HEADCOUNT_HOOKS", "hooks_of_python")
    monkeypatch.setenv("HEADCOUNT_HOOKS_FILE", str(here / "hooks.toml"))
    ran = run_cli("hook", "list", "--json")
    assert [(each["name"], each["error"]) for each in ran.json] == [
        ("sync_users", None),
        ("invoices", None),
        ("hooks.toml", "hooks.toml cannot be read: No such file or directory"),
    ]


async def test_a_module_that_stops_loading_keeps_the_paths_of_its_hooks(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation(here / "data").use(monkeypatch)
    monkeypatch.setenv("HEADCOUNT_HOOKS", "hooks_of_a,hooks_of_b")
    module = here / "hooks_of_a.py"
    module.write_text(HOOK.format(name="a") + HOOK.format(name="a2").replace("run", "run2"))
    (here / "hooks_of_b.py").write_text(HOOK.format(name="b"))
    async with open_tenants(here / "data", serving=True) as opened:
        await find_hooks(["hooks_of_a", "hooks_of_b"], opened.store.runs(), remember=True)
    del sys.modules["hooks_of_a"]
    module.write_text("import hooks_of_nobody")
    why = "hooks_of_a cannot be imported: ModuleNotFoundError: No module named 'hooks_of_nobody'"
    broken = [("a", "/a/*.csv", why), ("a2", "/a2/*.csv", why)]
    for _ in range(2):  # a failed start keeps what is known
        async with open_tenants(here / "data", serving=True) as opened:
            found = await find_hooks(["hooks_of_a", "hooks_of_b"], opened.store.runs(), remember=True)
        assert [(each.name, each.path, each.error) for each in found.hooks] == [("b", "/b/*.csv", None), *broken]
    ran = await asyncio.to_thread(run_cli, "hook", "list", "--json")
    assert [(each["name"], each["path"], each["error"]) for each in ran.json[2:]] == broken
    async with open_tenants(here / "data") as opened:
        await opened.add("acme")
    ran = await asyncio.to_thread(run_cli, "tenant", "set", "acme", "hooks=b,a2")
    assert ran.text == "  hooks = b,a2\n", "a broken hook can be kept on"
    module.write_text(HOOK.format(name="a"))
    async with open_tenants(here / "data", serving=True) as opened:
        store = opened.store.runs()
        await find_hooks(["hooks_of_a", "hooks_of_b"], store, remember=True)
        assert await store.remembered("hooks_of_a") == [("a", "/a/*.csv")]


@pytest.mark.parametrize(
    "wrong",
    [
        '[[hooks]]\nname = "orders"\npth = "/orders/*.xml"\ncommand = ["cat"]\n' + ENTRY,
        '[[hooks]]\nname = "orders"\npath = "orders/*.xml"\ncommand = ["cat"]\n' + ENTRY,
        '[[hooks]]\nname = "Orders"\npth = "/orders/*.xml"\ncommand = ["cat"]\n' + ENTRY,
        "[[hook]]\n",
        "[[hooks\n",
        "hooks = [3]\n",
        None,
    ],
)
async def test_a_typing_error_in_the_file_opens_no_path_of_a_hook(here: Path, wrong: str | None) -> None:
    file = here / "hooks.toml"
    file.write_text(ENTRY.replace("scans", "orders").replace("pdf", "xml") + ENTRY)

    async def found() -> dict[str | None, bool]:
        async with open_tenants(here / "data", serving=True) as opened:
            found = await find_hooks([], opened.store.runs(), files=read_hooks_file(file), remember=True)
        return {each.path: each.error is None for each in found.hooks}

    assert await found() == {"/orders/*.xml": True, "/scans/*.pdf": True}
    file.unlink() if wrong is None else file.write_text(wrong)
    for _ in range(2):
        assert (await found())["/orders/*.xml"] is False
    file.write_text(ENTRY)
    assert await found() == {"/scans/*.pdf": True}


async def test_an_entry_point_that_becomes_wrong_opens_no_path_of_a_hook(installed: Path, here: Path) -> None:
    install(installed, "acme", "hooks_of_acme", HOOK.format(name="invoices"))
    async with open_tenants(here / "data", serving=True) as opened:
        await find_hooks([], opened.store.runs(), remember=True)
        (installed / "acme-1.0.dist-info" / "entry_points.txt").write_text(
            "[headcount.hooks]\nmine = hooks_of_acme:run\n"
        )
        (hook,) = (await find_hooks([], opened.store.runs(), remember=True)).hooks
    assert hook.path == "/invoices/*.csv"
    assert hook.error == "hooks_of_acme:run cannot be used: its entry point mine must name a module only"


def test_a_command_checks_settings_of_hooks_by_the_model_of_the_hook(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "hooks_of_mine.py").write_text(
        "from pydantic import BaseModel\n"
        "from headcount import hook\n"
        "class Model(BaseModel):\n    limit: int = 0\n"
        "@hook('/a', name='a', settings=Model)\ndef run(delivery): ...\n"
    )
    installation(here / "data").use(monkeypatch)
    assert run_cli("tenant", "add", "acme").code == 0
    given = ["tenant", "set", "acme", 'hook_settings={"a": {"limit": 3}}', "hooks=a"]
    assert "hooks: there is no hook a" in run_cli(*given).err
    monkeypatch.setenv("HEADCOUNT_HOOKS", "hooks_of_mine")
    assert run_cli(*given).text.splitlines() == ['  hook_settings = {"a": {"limit": 3}}', "  hooks = a"]
    wrong = run_cli("tenant", "set", "acme", 'hook_settings={"a": {"limit": "x"}}')
    assert (wrong.code, wrong.err) == (1, "Error: hook_settings: a, limit: must be a whole number, not “x”\n")
    toml = run_cli("tenant", "show", "acme", "--toml")
    assert run_cli("tenant", "load", "acme", "-", stdin=toml.out).text == "No changes.\n"
