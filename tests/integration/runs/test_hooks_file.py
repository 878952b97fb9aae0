"""The file of hooks without Python: its entries, what is wrong with one, and what is wrong with all."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcount.hooks import Result
from importer.folder import TenantFolder
from server.runs.ends import Done
from server.runs.outside.hooks_toml import Runners, read_hooks_file
from server.runs.outside.said import said
from server.runs.registry import RegisteredHook
from server.runs.sources import Source
from server.signing import SecretFiles
from tests.support import ROOT
from tests.support.attempts import attempt_of
from tests.support.webhost import WebHost

GOOD = '[[hooks]]\nname = "good"\npath = "/good/*.csv"\ncommand = ["cat"]\n'


def read(folder: Path, text: str | bytes) -> Source:
    file = folder / "hooks.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    runners = Runners(SecretFiles(lambda tenant: TenantFolder(folder)), allow_private=True)
    (source,) = read_hooks_file(file, runners)
    assert source.name == "hooks.toml"
    assert source.package == str(file)
    return source


def entry_of(folder: Path, lines: str) -> RegisteredHook:
    """Read an entry beside a good one, which is never harmed."""
    wrong, good = read(folder, f"[[hooks]]\n{lines}\n{GOOD}").hooks
    assert (good.name, good.path, good.error) == ("good", "/good/*.csv", None)
    assert good.runnable is not None
    return wrong


def test_without_a_file_there_are_no_such_hooks() -> None:
    assert read_hooks_file(None) == []


async def test_a_command_of_the_file_runs(tmp_path: Path) -> None:
    (hook,) = read(tmp_path, GOOD).hooks
    assert hook.runnable is not None
    assert await hook.runnable.accept("acme", "/good/a.csv", 5, tmp_path / "a") is None
    assert await hook.runnable.deliver(attempt_of(tmp_path, b"hello")) == Done(Result("hello"))


async def test_a_program_may_be_beside_the_file(tmp_path: Path) -> None:
    program = tmp_path / "store"
    program.write_text('#!/bin/sh\nshift; echo "$@"\n')
    program.chmod(0o700)
    (hook,) = read(tmp_path, GOOD.replace('"cat"', '"./store", "a", "b c"')).hooks
    assert hook.error is None
    assert hook.runnable is not None
    assert await hook.runnable.deliver(attempt_of(tmp_path, b"")) == Done(Result("b c"))


async def test_a_command_runs_in_the_folder_of_the_file(tmp_path: Path) -> None:
    (hook,) = read(tmp_path, GOOD.replace('"cat"', '"pwd", "-P"')).hooks
    assert hook.runnable is not None
    assert await hook.runnable.deliver(attempt_of(tmp_path, b"")) == Done(Result(str(tmp_path.resolve())))


async def test_a_url_of_the_file_gets_the_file(tmp_path: Path) -> None:
    with WebHost() as host:
        text = f'[[hooks]]\nname = "crm"\npath = "/crm/people.csv"\nurl = "{host.url}"\ntimeout_s = 30\n'
        (hook,) = read(tmp_path, text).hooks
        assert hook.runnable is not None
        assert await hook.runnable.accept("acme", "/crm/people.csv", 5, tmp_path / "a") is None
        assert await hook.runnable.deliver(attempt_of(tmp_path, b"hello")) == Done(Result())
    assert host.calls[0].body == b"hello"


def test_a_command_line_that_only_lists_makes_nothing_to_run(tmp_path: Path) -> None:
    (tmp_path / "hooks.toml").write_text(GOOD)
    (source,) = read_hooks_file(tmp_path / "hooks.toml")
    assert [hook.runnable for hook in source.hooks] == [None]


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ('name = "a"\npath = "/a.csv"', "an entry needs either command or url"),
        ('name = "a"\npath = "/a.csv"\ncommand = ["cat"]\nurl = "http://x"', "an entry needs either command or url"),
        ('name = "a"\npath = "/a.csv"\ncommand = "cat --password x"', "command must be a list"),
        ('name = "a"\npath = "/a.csv"\ncommand = []', "command must have at least 1 entry"),
        ('name = "a"\npath = "/a.csv"\ncommand = ["cat", 3]', "command, entry 2 must be text"),
        ('name = "a"\npath = "/a.csv"\ncommand = ["cat", "a\\u0000b"]', "command cannot have a NUL character"),
        (
            'name = "a"\npath = "/a.csv"\ncommand = [""]',
            "the program that command begins with cannot be found or run",
        ),
        ('name = "a"\npath = "/a.csv"\ncommand = ["no-such"]', "the program no-such cannot be found or run"),
        ('name = "a"\npath = "/a.csv"\ncommand = ["/etc/passwd"]', "the program /etc/passwd cannot be found or run"),
        ('name = "a"\npath = "/a.csv"\nurl = "ftp://s3cret@x"', "url must be a web address such as"),
        ('name = "a"\npath = "/a.csv"\nurls = "http://x"', "urls is unknown; did you mean url?"),
        ('name = "a"\npath = "/a.csv"\ncommand = ["cat"]\ntimeout_s = 0', "timeout_s must be more than 0, not 0"),
        ('name = "a"\npath = "/a.csv"\ncommand = ["cat"]\ntimeout_s = "9"', "timeout_s must be a number, not “9”"),
    ],
)
def test_a_wrong_entry_has_its_reason_and_its_path(tmp_path: Path, lines: str, error: str) -> None:
    hook = entry_of(tmp_path, lines)
    assert (hook.name, hook.path, hook.runnable) == ("a", "/a.csv", None)
    assert hook.error is not None
    assert hook.error.startswith(error)
    assert not {"s3cret", "password"} & {*hook.error.replace("@", " ").replace("/", " ").split()}


@pytest.mark.parametrize(
    ("lines", "name", "path", "error"),
    [
        ('path = "/a.csv"\ncommand = ["cat"]', "entry 1", "/a.csv", "name is missing"),
        ('name = "A b"\npath = "/a.csv"\ncommand = ["cat"]', "entry 1", "/a.csv", "name must be"),
        ('name = "sync_users"\npath = "/a.csv"\ncommand = ["cat"]', "entry 1", "/a.csv", "the name sync_users"),
        ('name = "a"\ncommand = ["cat"]', "a", None, "path is missing"),
        ('name = "a"\npath = "a.csv"\ncommand = ["cat"]', "a", None, "path must begin with /"),
        ('name = "a"\npath = "/results/a.csv"\ncommand = ["cat"]', "a", None, "path cannot be in /results"),
        ('name = "a"\npath = 3\ncommand = ["cat"]', "a", None, "path must be text, not 3"),
    ],
)
def test_a_wrong_name_or_path_is_not_used(
    tmp_path: Path, lines: str, name: str, path: str | None, error: str
) -> None:
    hook = entry_of(tmp_path, lines)
    assert (hook.name, hook.path) == (name, path)
    assert (hook.error or "").startswith(error)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[hooks]\n", "hooks.toml is not valid TOML: "),
        (b"\xff\xfe", "hooks.toml is not valid TOML: "),
        ("[[hook]]\n", "hooks.toml has hook, which is unknown; did you mean hooks?"),
        ("[hooks]\na = 1\n", "hooks.toml must have its hooks as [[hooks]], in double brackets"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str | bytes, error: str) -> None:
    source = read(tmp_path, text)
    assert source.hooks == ()
    assert (source.error or "").startswith(error)


def test_a_file_that_is_missing_says_so(tmp_path: Path) -> None:
    (source,) = read_hooks_file(tmp_path / "hooks.toml")
    assert source.error == "hooks.toml cannot be read: No such file or directory"


def test_a_list_of_something_else_has_an_error_an_entry(tmp_path: Path) -> None:
    (hook,) = read(tmp_path, "hooks = [3]\n").hooks
    assert (hook.name, hook.path) == ("entry 1", None)
    assert (hook.error or "").startswith("an entry must be a table")


def test_the_examples_of_the_settings_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs/settings.md").read_text()
    section = page.partition("#### Commands and URLs")[2]
    toml, report = (section.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("toml", "json"))
    source = read(tmp_path, toml.replace("/usr/local/bin/store-invoices", "cat"))
    assert [(hook.name, hook.error) for hook in source.hooks] == [("invoices", None), ("crm", None)]
    assert said(report.encode()).result.counts == {"stored": 2}
