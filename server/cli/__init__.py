"""The command line: one module for each noun.

A command that fails raises. `main` prints the exception as one sentence on stderr and returns an exit code: 0 done,
1 refused or failed, 2 wrong usage, 130 interrupted. A noun's module is imported on use, so that every command starts
fast.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ground.refusals import Refusal
from headcount import __version__
from importer.errors import DatabaseFault, ImporterError, TryAgain
from keys.errors import HostKeyRefused, RingUnreadable, SecretRefused
from server.cli.output import lines_are_json, lines_as_json, log_told, tell
from server.interrupts import INTERRUPTED, loading
from server.settings import SettingsError, choose_data_dir, debugging, unknown_variables

COMMANDS = {
    "serve": "server.cli.serve:serve",
    "tenant": "server.cli.tenant:tenant",
    "key": "server.cli.key:key",
    "token": "server.cli.token:token",
    "import": "server.cli.import_:import_",
    "check": "server.cli.check:check",
    "users": "server.cli.users:users",
    "notify": "server.cli.notify:notify",
    "ban": "server.cli.ban:ban",
    "hook": "server.cli.hook:hook",
    "backup": "server.cli.backup:backup",
    "restore": "server.cli.backup:restore",
    "doctor": "server.cli.doctor:doctor",
    "reseal": "server.cli.doctor:reseal",
    "migrate": "server.cli.doctor:migrate",
}
REFUSALS = (Refusal, ImporterError, HostKeyRefused, RingUnreadable, SecretRefused, SettingsError)


class _Interrupted(Exception):  # noqa: N818 - named after the state
    """A KeyboardInterrupt that click does not see: it would print an empty line."""


class LazyCommands(click.Group):
    """The commands of COMMANDS, each imported on use."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt:
            raise _Interrupted from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Interrupted from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and args[0][:1].isalnum() and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        gc.disable()  # modules are not garbage; collecting here takes a tenth of the time
        try:
            with loading():
                command: click.Command = getattr(importlib.import_module(module), name)
        finally:
            gc.enable()
        return command


def _folder(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Path | None:
    if given is None:
        return None
    if not given.strip():  # an unset variable of a script; Path would take the working folder
        raise click.BadParameter("is empty. Name a folder")
    return Path(given)


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="headcount %(version)s", help="Print the version.")
@click.option(
    "--data-dir",
    callback=_folder,
    metavar="FOLDER",
    help="Use this data folder, and not HEADCOUNT_DATA_DIR.",
)
@click.pass_context
def cli(ctx: click.Context, data_dir: Path | None) -> None:
    """Run and manage Headcount, an SFTP server for user lists.

    Settings come from the environment variables HEADCOUNT_*, or from the TOML file that HEADCOUNT_CONFIG names; the
    environment wins. Every command works on the data folder (HEADCOUNT_DATA_DIR) with or without a running server.
    """
    choose_data_dir(data_dir)
    ctx.call_on_close(lambda: choose_data_dir(None))
    if ctx.invoked_subcommand != "serve":  # it logs by itself
        ctx.with_resource(log_told())
        for sentence in unknown_variables():
            tell(sentence, "unknown_variable", "warning")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Only this user can read the files that it creates.

    After Ctrl-C, return INTERRUPTED; the caller says so.
    """
    os.umask(0o077)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # show what the terminal cannot encode as an escape
    given = list(sys.argv[1:] if arguments is None else arguments)
    lines_as_json("--json" in given)
    try:
        code = cli.main(args=given, prog_name="headcount", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _wrong_usage(error) if isinstance(error, click.UsageError) else _failed(error.format_message())
    except BrokenPipeError:
        # The reader closed the pipe; the flush at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.Abort, KeyboardInterrupt, _Interrupted):
        return INTERRUPTED
    except REFUSALS as error:
        return _refused(error)
    except UnicodeEncodeError:
        return _failed("an argument is not valid UTF-8, so nothing has this name. Check the encoding of the terminal")
    except Exception as error:
        return _failed(*_unexpected(error))


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed at the start (`>&-`); Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends


def _wrong_usage(error: click.UsageError) -> int:
    """Print a wrong usage: as click does, or as JSON."""
    if isinstance(error, click.NoSuchOption) and error.option_name == "--data-dir":
        error = click.UsageError(
            "--data-dir comes before the command: headcount --data-dir FOLDER COMMAND", error.ctx
        )
    if lines_are_json():
        tell(error.format_message(), "usage", "error")
    else:
        error.show()
    return 2


def _refused(error: Exception) -> int:
    """Print a refusal; several wrong settings at once, one on each line."""
    code = str(getattr(error, "code", "bad_setting" if isinstance(error, SettingsError) else "failed"))
    wrong: dict[str, str] = getattr(error, "settings", {})
    if len(wrong) > 1:
        tell(f"{len(wrong)} settings are not valid. Nothing was done", code, "error", wrong)
    else:
        tell(error.in_full if isinstance(error, TryAgain) else str(error), code, "error")
    return 1


def _failed(sentence: str, code: str = "failed") -> int:
    tell(sentence, code, "error")
    return 1


def _unexpected(error: Exception) -> tuple[str, str]:
    """Return the sentence and code for an unexpected error. At log level debug, print the traceback too."""
    if debugging():
        traceback.print_exc()
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        where = error.filename or "the data folder"
        do = "Check the disk (dmesg), then: mount -o remount,rw"
        return f"{where} is on a read-only file system. {do}", "read_only"
    if isinstance(error, OSError) and error.strerror:
        return (f"{error.filename}: {error.strerror}" if error.filename else error.strerror), "failed"
    if isinstance(error, DatabaseFault):
        return str(error), "database_fault"
    why = f"{type(error).__name__}: {error}"
    return f"internal error ({why}). Set HEADCOUNT_LOG_LEVEL=debug to see the traceback", "internal_error"
