"""`headcount serve`: the server, in the foreground."""

from __future__ import annotations

import resource

import click

from server import app, lock, logs
from server.cli.data import runs
from server.settings import load_settings


@click.command()
@runs
async def serve() -> None:
    """Run the server: SFTP, imports and HTTP. It stops on SIGTERM or Ctrl-C; a second one makes it hurry."""
    settings = load_settings()
    logs.set_up(settings.log_format, settings.log_level)
    _allow_many_files()
    try:
        await app.serve(settings)
    except (lock.InUse, app.CannotListen) as error:
        raise click.ClickException(str(error)) from error


def _allow_many_files() -> None:
    """As many open files as the system lets us have: 500 sessions with several handles each pass the usual 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
