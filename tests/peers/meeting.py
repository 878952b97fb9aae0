"""The folder that a third-party suite and the server share, under the same path for both."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.support.clients import client
from tests.support.server_process import ServerProcess


class Meeting:
    """The shared folder: a suite makes files on the disk, and then asks the server for them by the same path.

    So `folder` is a link into the tenant's files, to a folder with the same path there. `sftp_server` is a program to
    run instead of OpenSSH's sftp-server: it connects to the real server.
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
