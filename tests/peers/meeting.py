"""Where a foreign suite and the server meet: one folder that both call by the same path."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.support.clients import client
from tests.support.server_process import ServerProcess


class Meeting:
    """A suite makes files on the disk and then asks the server for them, by the path it gave them itself.

    So `folder` is a link into the tenant's files, and lies there at the same path as here. `sftp_server` is a program
    to run in place of OpenSSH's sftp-server: it speaks to the real one.
    """

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.files = server.files("acme").files
        self.host, self.port, self.key_file = "127.0.0.1", server.sftp_port, server.private_key("acme")
        inside = self.files / folder.relative_to("/")
        inside.mkdir(parents=True)
        folder.symlink_to(inside)
        self.ssh = [client("ssh"), "-F", "none", *server.options("acme")]
        self.sftp_server = folder.with_suffix(".sftp-server")
        self.sftp_server.write_text(f"#!/bin/sh\nexec {shlex.join(self.ssh)} -s acme@{self.host} sftp\n")
        self.sftp_server.chmod(0o700)
