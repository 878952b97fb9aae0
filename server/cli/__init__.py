"""The command line: one module for each noun.

A command that fails raises. `main` prints the exception as one sentence on stderr and returns an exit code: 0 done,
1 refused or failed, 2 wrong usage. A noun's module is imported on use, so that every command starts fast.
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
from headcount import __version__
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
    "hook": "server.cli.hook:hook",
    "backup": "server.cli.backup:backup",
    "restore": "server.cli.backup:restore",
}
REFUSALS = (Refusal, ImporterError, HostKeyRefused, RingUnreadable, SettingsError)


class LazyCommands(click.Group):
    """The commands of COMMANDS, each imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        gc.disable()  # modules are not garbage; collecting here takes a tenth of the time
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        finally:
            gc.enable()
        return command


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="headcount %(version)s", help="Print the version.")
def cli() -> None:
    """Run and manage Headcount, an SFTP server for user lists.

    Settings come from the environment variables HEADCOUNT_*, or from the TOML file that HEADCOUNT_CONFIG names; the
    environment wins. Every command works on the data folder (HEADCOUNT_DATA_DIR) with or without a running server.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Only this user can read the files that it creates."""
    os.umask(0o077)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # show what the terminal cannot encode as an escape
    try:
        code = cli.main(args=arguments, prog_name="headcount", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return 2 if isinstance(error, click.UsageError) else 1
    except BrokenPipeError:
        # The reader closed the pipe; the flush at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted")
    except REFUSALS as error:
        return _failed(str(error))
    except UnicodeEncodeError:
        return _failed("an argument is not valid UTF-8, so nothing has this name. Check the encoding of the terminal")
    except Exception as error:
        return _failed(_unexpected(error))


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed at the start (`>&-`); Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends


def _failed(sentence: str) -> int:
    click.echo(f"Error: {sentence}", err=True)
    return 1


def _unexpected(error: Exception) -> str:
    """Return the sentence for an unexpected error. At log level debug, print the traceback too."""
    if debugging():
        traceback.print_exc()
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        where = error.filename or "the data folder"
        return f"{where} is on a read-only file system. Check the disk (dmesg), then: mount -o remount,rw"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, DatabaseFault):
        return str(error)
    return f"internal error ({type(error).__name__}: {error}). Set HEADCOUNT_LOG_LEVEL=debug to see the traceback"
