"""`headcount serve`: the server, in the foreground."""

from __future__ import annotations

import logging
from functools import partial

import click

from server import app, logs, process
from server.cli.data import runs
from server.loop import ServerLoop
from server.settings import load_settings, unknown_variables

log = logging.getLogger(__name__)


@click.command()
@partial(runs, loop=ServerLoop)
async def serve() -> None:
    """Run the server: SFTP, imports and HTTP.

    SIGTERM or Ctrl-C stops it: uploads are interrupted, and the running import has HEADCOUNT_STOP_GRACE_S seconds to
    end. A second signal stops it at once.
    """
    settings = load_settings()
    logs.set_up(settings.log_format, settings.log_level)
    for sentence in unknown_variables():
        log.warning("%s", sentence, extra={"event": "unknown_variable"})
    process.prepare()
    try:
        await app.serve(settings)
    except (process.InUse, process.CannotListen) as error:
        raise click.ClickException(str(error)) from error
