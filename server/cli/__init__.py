"""The command line: one module a noun.

A command raises what it can't do; `main` turns that into one sentence on stderr and an exit code: 0 done, 1 refused
or failed, 2 wrong usage. Nouns are imported when they are used: a command starts in the time its own imports take.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from ground.refusals import Refusal
from importer.errors import DatabaseFault, ImporterError
from keys.errors import HostKeyRefused, RingUnreadable
from server.settings import SettingsError, debugging

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
}
REFUSALS = (Refusal, ImporterError, HostKeyRefused, RingUnreadable, SettingsError)


class Nouns(click.Group):
    """The commands of COMMANDS, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        gc.disable()  # what is loaded stays: to look for garbage in it takes a tenth of the time
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        finally:
            gc.enable()
        return command


def _version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            found = metadata.version("headcount")
        except metadata.PackageNotFoundError:
            found = "(not installed)"
        click.echo(f"headcount {found}")
        ctx.exit()


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
def cli() -> None:
    """An SFTP server that turns sync_users.csv into users.

    Settings come from HEADCOUNT_* in the environment, or from the TOML file that HEADCOUNT_CONFIG names. All
    commands work beside a running server on the same data folder (HEADCOUNT_DATA_DIR).
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. What it makes is for this user alone."""
    os.umask(0o077)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name the terminal can't show is no reason to fail
    try:
        code = cli.main(args=arguments, prog_name="headcount", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return 2 if isinstance(error, click.UsageError) else 1
    except BrokenPipeError:
        # Whoever read us has seen enough. What is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted")
    except REFUSALS as error:
        return _failed(str(error))
    except UnicodeEncodeError:
        return _failed("an argument is not valid UTF-8, and so the name of nothing here")
    except Exception as error:
        return _failed(_unexpected(error))


def _open_what_is_closed() -> None:
    """Started with a standard stream closed (`>&-`), Python has None there: then it leads nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as we run


def _failed(sentence: str) -> int:
    click.echo(f"Error: {sentence}", err=True)
    return 1


def _unexpected(error: Exception) -> str:
    """What to say of something that nobody foresaw; the details only to who asks for them."""
    if debugging():
        traceback.print_exc()
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        where = error.filename or "the data folder"
        return f"{where} is on a read-only file system: check the disk (dmesg), then mount -o remount,rw"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, DatabaseFault):
        return str(error)
    return f"something went wrong inside ({type(error).__name__}: {error}); HEADCOUNT_LOG_LEVEL=debug shows where"
