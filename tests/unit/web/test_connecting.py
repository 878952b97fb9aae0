"""The facts for clients to connect with, written as OpenSSH reads them."""

from __future__ import annotations

import pytest

from keys.host import ShownHostKey
from server.web.pages.connecting import Connection

KEYS = [
    ShownHostKey("ssh-ed25519", "SHA256:x", "ssh-ed25519 AAAA"),
    ShownHostKey("ssh-rsa", "SHA256:y", "ssh-rsa BBBB"),
]


@pytest.mark.parametrize(
    ("host", "port", "target", "known"),
    [
        ("sftp.example.com", 2222, "acme@sftp.example.com", "[sftp.example.com]:2222"),
        ("sftp.example.com", 22, "acme@sftp.example.com", "sftp.example.com"),
        ("2001:db8::1", 2222, "'acme@[2001:db8::1]'", "[2001:db8::1]:2222"),
    ],
)
def test_commands_and_known_hosts_write_the_host_as_openssh_reads_it(
    host: str, port: int, target: str, known: str
) -> None:
    connection = Connection(host, port, "acme", KEYS)
    assert connection.by_hand == f"sftp -P {port} -i headcount {target}"
    assert connection.by_script.endswith(f"-P {port} -i headcount {target}")
    assert connection.known_hosts == f"{known} ssh-ed25519 AAAA\n{known} ssh-rsa BBBB"


def test_a_name_with_shell_characters_is_quoted() -> None:
    assert Connection("a b;c", 22, "acme", KEYS).by_hand.endswith("'acme@a b;c'")
