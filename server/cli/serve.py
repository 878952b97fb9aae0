"""`headcount serve`: the server, in the foreground."""

from __future__ import annotations

from functools import partial

import click

from server import app, logs, process
from server.cli.data import runs
from server.loop import ServerLoop
from server.settings import load_settings


@click.command()
@partial(runs, loop=ServerLoop)
async def serve() -> None:
    """Run the server: SFTP, imports and HTTP. It stops on SIGTERM or Ctrl-C; a second one makes it hurry."""
    settings = load_settings()
    logs.set_up(settings.log_format, settings.log_level)
    process.prepare()
    try:
        await app.serve(settings)
    except (process.InUse, app.CannotListen) as error:
        raise click.ClickException(str(error)) from error
