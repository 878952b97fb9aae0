"""Canaries: what the SFTP side leans on inside asyncssh, beyond its documented interface, is still as it was read.

If one of these fails after an upgrade, read the new source before making it pass: a handle of a lost connection may
be taken for one its client closed.
"""

from __future__ import annotations

import inspect

import asyncssh
import pytest
from asyncssh import channel, connection, constants, sftp, stream

from server.sftp import handler
from server.sftp.filesystem import TenantFiles
from server.sftp.handler import STOCK, SftpHandler


def source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_this_is_the_release_whose_source_was_read() -> None:
    assert asyncssh.__version__.startswith("2.24.")


def test_the_handlers_clean_up_is_one_method_called_at_every_end() -> None:
    assert "self._server.close(file_obj)" in source(sftp.SFTPServerHandler._cleanup)
    assert "await self._cleanup(" in source(sftp.SFTPHandler.recv_packets)
    assert "await self._cleanup(" in source(sftp.SFTPServerHandler.run)
    assert "self._server.close" not in source(SftpHandler._cleanup)


def test_open_handles_are_where_they_are_looked_for() -> None:
    made = source(sftp.SFTPServerHandler.__init__)
    assert "self._file_handles: Dict[bytes, object] = {}" in made
    assert "self._dir_handles" in made
    assert "self._file_handles[handle] = result" in source(sftp.SFTPServerHandler._process_open)


def test_requests_are_dispatched_one_at_a_time_by_the_table_of_the_class() -> None:
    assert "self._packet_handlers.get(handler_type)" in source(sftp.SFTPServerHandler._process_packet)
    receive = source(sftp.SFTPHandler.recv_packets)
    assert "await self.recv_packet()" in receive
    assert "await self._process_packet(" in receive


def test_every_request_served_by_the_stock_handler_is_known_to_it() -> None:
    assert set(STOCK) <= set(sftp.SFTPServerHandler._packet_handlers)
    assert set(handler._OURS) <= set(sftp.SFTPServerHandler._packet_handlers)
    assert not set(STOCK) & set(handler._OURS)


def test_requests_that_would_get_round_our_rules_are_not_served() -> None:
    for request in (b"copy-data", b"hardlink@openssh.com", b"lsetstat@openssh.com", b"ranges@asyncssh.com"):
        assert request in sftp.SFTPServerHandler._packet_handlers
        assert request not in SftpHandler._packet_handlers
        assert request not in dict(SftpHandler._extensions)
    for request in (constants.FXP_LINK, constants.FXP_BLOCK, constants.FXP_UNBLOCK):
        assert request not in SftpHandler._packet_handlers


def test_every_operation_of_the_stock_server_is_our_own() -> None:
    stock_is_fine = {
        "channel", "connection", "env", "logger",  # what they say
        "convert_attrs", "format_user", "format_group", "format_longname",  # of listings we don't make that way
        "lock", "unlock",  # refuse
    }  # fmt: skip
    inherited = {
        name
        for name in vars(asyncssh.SFTPServer)
        if not name.startswith("_") and getattr(TenantFiles, name) is getattr(asyncssh.SFTPServer, name)
    }
    assert inherited <= stock_is_fine


@pytest.mark.parametrize("name", ["map_path", "reverse_map_path"])
def test_a_forgotten_operation_would_fail_closed(name: str) -> None:
    with pytest.raises(asyncssh.SFTPOpUnsupported):
        getattr(TenantFiles, name)(None, b"/")


def test_an_error_code_of_later_protocols_reaches_clients_as_a_failure_with_its_words() -> None:
    encoded = asyncssh.SFTPQuotaExceeded("quota exceeded").encode(3)
    assert encoded.startswith(constants.FX_FAILURE.to_bytes(4, "big"))
    assert b"quota exceeded" in encoded


def test_a_session_of_our_own_is_asked_for_when_there_is_no_factory() -> None:
    opened = source(connection.SSHServerConnection._process_session_open)
    assert "self._owner.session_requested()" in opened
    started = source(stream.SSHServerStreamSession)
    for name in ("session_started", "shell_requested", "exec_requested", "subsystem_requested"):
        assert f"def {name}(" in started


def test_what_a_lean_connection_replaces_is_still_there() -> None:
    sent = source(connection.SSHConnection.send_packet)
    assert "self.send_packet(MSG_IGNORE, String(b''))" in sent
    assert "handler.log_sent_packet(" in sent
    assert "self._transport.write(data)" in source(connection.SSHConnection._send)
    assert "self._transport.abort" in source(connection.SSHConnection._force_close)
    assert "self._enc_alg_sc" in source(connection.SSHConnection._process_kexinit)
    assert "_send_pktsize" in source(channel.SSHChannel.process_open)


def test_both_lists_of_algorithms_are_kept_for_the_log() -> None:
    assert "self._client_kexinit = packet.get_consumed_payload()" in source(connection.SSHConnection._process_kexinit)
    assert "self._server_kexinit" in source(connection.SSHConnection._send_kexinit)


def test_what_a_channel_keeps_of_its_requests_is_where_it_is_refused() -> None:
    assert "self._env[key] = value" in source(channel.SSHServerChannel._process_env_request)
    assert "getattr(self, name, None)" in source(channel.SSHChannel._service_next_request)
    assert "self.exception_received(" in source(stream.SSHServerStreamSession.signal_received)
    assert "self.exception_received(" in source(stream.SSHServerStreamSession.break_received)
