"""Canaries: the internals of asyncssh that the SFTP side uses, beyond the documented interface, have not changed.

If a canary fails after an upgrade, read the new source of asyncssh before you change the test. Otherwise a handle of
a lost connection may be treated like one that its client closed. Each canary lists its names with `watches`. The last
tests read the server's source, and fail for an internal name without a canary.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh import auth, channel, connection, constants, encryption, packet, public_key, sftp, stream
from asyncssh.crypto.chacha import ChachaCipher
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from server.sftp import handler
from server.sftp.auth import SAFE_RSA_SIGNATURES
from server.sftp.filesystem import TenantFiles
from server.sftp.handler import STOCK, SftpHandler
from tests.support.leaning import leaned_on, said_in_source

Canary = Callable[..., None]
WATCHED: set[str] = set()


def watches(*names: str) -> Callable[[Canary], Canary]:
    """List the internal names of asyncssh that the decorated test checks, as `leaned_on` writes them."""
    WATCHED.update(names)
    return lambda canary: canary


def source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_asyncssh_is_the_release_whose_source_was_read() -> None:
    assert asyncssh.__version__.startswith("2.24.")


@watches("SFTPServerHandler._cleanup", "SFTPServerHandler.run", "sftp.SFTPServerHandler")
def test_the_cleanup_of_the_handler_is_one_method_called_at_every_end() -> None:
    assert "self._server.close(file_obj)" in source(sftp.SFTPServerHandler._cleanup)
    assert "await self._cleanup(" in source(sftp.SFTPHandler.recv_packets)
    assert "await self._cleanup(" in source(sftp.SFTPServerHandler.run)
    assert "await self.recv_packets()" in source(sftp.SFTPServerHandler.run)
    assert "self._server.close" not in source(SftpHandler._cleanup)


@watches("SFTPServerHandler._file_handles", "SFTPServerHandler._dir_handles", "SFTPServerHandler._process_open")
def test_open_handles_are_kept_where_the_handler_looks_for_them() -> None:
    made = source(sftp.SFTPServerHandler.__init__)
    assert "self._file_handles: Dict[bytes, object] = {}" in made
    assert "self._dir_handles" in made
    assert "self._file_handles[handle] = result" in source(sftp.SFTPServerHandler._process_open)


@watches("SFTPServerHandler._packet_handlers", "SFTPHandler.recv_packet")
def test_requests_are_dispatched_one_at_a_time_by_the_table_of_the_class() -> None:
    assert "self._packet_handlers.get(handler_type)" in source(sftp.SFTPServerHandler._process_packet)
    receive = source(sftp.SFTPHandler.recv_packets)
    assert "while self._reader:" in receive
    assert "await self.recv_packet()" in receive
    assert "await self._process_packet(" in receive


def test_every_request_served_by_the_stock_handler_is_known_to_it() -> None:
    assert set(STOCK) <= set(sftp.SFTPServerHandler._packet_handlers)
    assert set(handler._OWN) <= set(sftp.SFTPServerHandler._packet_handlers)
    assert not set(STOCK) & set(handler._OWN)


def test_requests_that_would_bypass_the_rules_are_not_served() -> None:
    for request in (b"copy-data", b"hardlink@openssh.com", b"lsetstat@openssh.com", b"ranges@asyncssh.com"):
        assert request in sftp.SFTPServerHandler._packet_handlers
        assert request not in SftpHandler._packet_handlers
        assert request not in dict(SftpHandler._extensions)
    for request in (constants.FXP_LINK, constants.FXP_BLOCK, constants.FXP_UNBLOCK):
        assert request not in SftpHandler._packet_handlers


def test_every_operation_of_the_stock_server_is_overridden() -> None:
    stock_is_fine = {
        "channel", "connection", "env", "logger",  # only return facts
        "convert_attrs", "format_user", "format_group", "format_longname",  # of listings that the server does not use
        "lock", "unlock",  # refuse
    }  # fmt: skip
    inherited = {
        name
        for name in vars(asyncssh.SFTPServer)
        if not name.startswith("_") and getattr(TenantFiles, name) is getattr(asyncssh.SFTPServer, name)
    }
    assert inherited <= stock_is_fine


@pytest.mark.parametrize("name", ["map_path", "reverse_map_path"])
def test_an_operation_that_is_not_overridden_fails(name: str) -> None:
    with pytest.raises(asyncssh.SFTPOpUnsupported):
        getattr(TenantFiles, name)(None, b"/")


def test_an_error_code_of_a_later_protocol_is_sent_as_a_failure_with_its_message() -> None:
    encoded = asyncssh.SFTPQuotaExceeded("quota exceeded").encode(3)
    assert encoded.startswith(constants.FX_FAILURE.to_bytes(4, "big"))
    assert b"quota exceeded" in encoded


@watches("stream.SSHServerStreamSession")
def test_without_a_factory_the_library_asks_the_server_for_a_session() -> None:
    opened = source(connection.SSHServerConnection._process_session_open)
    assert "self._owner.session_requested()" in opened
    started = source(stream.SSHServerStreamSession)
    for name in ("session_started", "shell_requested", "exec_requested", "subsystem_requested"):
        assert f"def {name}(" in started


@watches("send_packet", "log_sent_packet", "log_received_packet", "_transport", "_enc_alg_sc", "_send_pktsize")
def test_the_library_still_has_all_that_a_lean_connection_replaces() -> None:
    sent = source(connection.SSHConnection.send_packet)
    assert "self.send_packet(MSG_IGNORE, String(b''))" in sent
    assert "handler.log_sent_packet(" in sent
    assert "self._transport.write(data)" in source(connection.SSHConnection._send)
    assert "self._transport.abort" in source(connection.SSHConnection._force_close)
    assert "self._enc_alg_sc = b''" in source(connection.SSHConnection.__init__)
    assert "self._enc_alg_sc" in source(connection.SSHConnection._process_kexinit)
    assert "_send_pktsize" in source(channel.SSHChannel.process_open)


@watches(
    "_kex_complete", "_rekey_bytes", "_rekey_bytes_sent", "_rekey_seconds", "_rekey_time", "_send_blocksize",
    "_send_enchdrlen", "_send_seq", "_send",
)  # fmt: skip
def test_the_library_makes_and_counts_a_packet_as_the_server_does() -> None:
    sent = source(connection.SSHConnection.send_packet)
    assert (
        "if (self._auth_complete and self._kex_complete and\n"
        "                (self._rekey_bytes_sent >= self._rekey_bytes or\n"
        "                 (self._rekey_seconds and\n"
        "                  time.monotonic() >= self._rekey_time))):\n"
        "            self._send_kexinit()\n"
    ) in sent
    assert (
        "padlen = -(self._send_enchdrlen + len(payload)) % self._send_blocksize\n"
        "        if padlen < 4:\n"
        "            padlen += self._send_blocksize\n\n"
        "        packet = Byte(padlen) + payload + os.urandom(padlen)\n"
        "        pktlen = len(packet)\n"
        "        hdr = UInt32(pktlen)\n"
        "        seq = self._send_seq\n"
    ) in sent
    assert "packet, mac = self._send_encryption.encrypt_packet(seq, hdr, packet)" in sent
    assert "self._send(packet + mac)" in sent
    assert "self._send_seq = (seq + 1) & 0xffffffff" in sent
    assert "if self._kex_complete:\n            self._rekey_bytes_sent += pktlen" in sent
    assert "self._deferred_packets.append((pkttype, args))" in sent
    assert sent.count("self._send") == sent.count("self._send_") + 1, "nothing else is sent or counted"


@watches("_send_window", "_send_state", "_send_chan", "write")
def test_the_library_sends_data_of_a_channel_as_the_server_does() -> None:
    written, flushed = source(channel.SSHChannel.write), source(channel.SSHChannel._flush_send_buf)
    assert "if self._send_state != 'open':" in written
    assert "self._send_buf.append((bytearray(encoded_data), datatype))" in written
    assert "while self._send_buf and self._send_window:" in flushed, (
        "data stays in the buffer only if the window is full"
    )
    assert "pktsize = min(self._send_window, self._send_pktsize)" in flushed
    assert "self._send_window -= len(data)" in flushed
    assert "self.send_packet(MSG_CHANNEL_DATA, String(data))" in flushed
    sent = source(channel.SSHChannel.send_packet)
    assert "payload = UInt32(self._send_chan) + b''.join(args)" in sent
    assert "self._conn.send_packet(pkttype, payload, handler=self)" in sent


@watches("data_received", "_auth_complete")
def test_a_connection_gets_received_data_and_records_a_complete_login() -> None:
    assert list(inspect.signature(connection.SSHConnection.data_received).parameters) == ["self", "data", "datatype"]
    assert "self._auth_complete = False" in source(connection.SSHConnection.__init__)
    assert "self._auth_complete = True" in source(connection.SSHServerConnection.send_userauth_success)
    assert "self._transport = None" in source(connection.SSHConnection._force_close)


@watches(
    "send_newkeys",
    "_send_encryption",
    "_next_recv_encryption",
    "encryption.ChachaEncryption",
    "_cipher",
    "_key",
    "_adkey",
)
def test_the_library_keeps_a_cipher_where_the_server_replaces_it() -> None:
    made = source(connection.SSHConnection.send_newkeys)
    assert list(inspect.signature(connection.SSHConnection.send_newkeys).parameters) == ["self", "k", "h"]
    assert "self._send_encryption = next_enc_sc" in made
    assert "self._next_recv_encryption = next_enc_cs" in made
    assert made.index("self._send_encryption = next_enc_sc") > made.index("self.send_packet(MSG_NEWKEYS)")
    within: Any = encryption.ChachaEncryption.new("chacha20-poly1305", bytes(range(64)), b"")
    assert isinstance(within._cipher, ChachaCipher)
    assert (within._cipher._key, within._cipher._adkey) == (bytes(range(32)), bytes(range(32, 64)))
    used = source(encryption.ChachaEncryption)
    assert set(re.findall(r"self\._cipher\.(\w+)\(", used)) == {
        "encrypt_and_sign", "decrypt_header", "verify_and_decrypt",
    }  # fmt: skip


@watches("SFTPHandler.send_packet")
def test_an_answer_is_written_to_the_channel_as_length_type_and_parts() -> None:
    said = source(sftp.SFTPHandler.send_packet)
    assert list(inspect.signature(sftp.SFTPHandler.send_packet).parameters) == ["self", "pkttype", "pktid", "args"]
    assert "payload = Byte(pkttype) + b''.join(args)" in said
    assert "self._writer.write(UInt32(len(payload)) + payload)" in said
    assert "bytearray(encoded_data)" in source(channel.SSHChannel.write), "so it may be a view of a longer buffer"


@watches("_client_kexinit", "_server_kexinit")
def test_both_lists_of_algorithms_are_kept_for_the_log() -> None:
    assert "self._client_kexinit = packet.get_consumed_payload()" in source(connection.SSHConnection._process_kexinit)
    assert "self._server_kexinit" in source(connection.SSHConnection._send_kexinit)


@watches("_process_env_request", "SSHServerStreamSession.exception_received")
def test_the_library_keeps_channel_requests_where_the_server_refuses_them() -> None:
    assert "self._env[key] = value" in source(channel.SSHServerChannel._process_env_request)
    assert "getattr(self, name, None)" in source(channel.SSHChannel._service_next_request)
    assert "self.exception_received(" in source(stream.SSHServerStreamSession.signal_received)
    assert "self.exception_received(" in source(stream.SSHServerStreamSession.break_received)


@watches("SFTPHandler._reader", "SFTPHandler._writer")
def test_the_cleanup_of_a_session_removes_its_reader_and_writer_together() -> None:
    class Stream:
        closed = False

        @property
        def logger(self) -> Stream:
            return self

        def get_child(self, _name: str) -> Stream:
            return self

        def close(self) -> None:
            self.closed = True

    reader, writer = Stream(), Stream()
    session: Any = sftp.SFTPHandler(reader, writer)  # type: ignore[arg-type]
    assert (session._reader, session._writer) == (reader, writer)
    asyncio.run(session._cleanup(None))
    assert (session._reader, session._writer, writer.closed) == (None, None, True)
    assert "except EOFError:\n            await self._cleanup(None)" in source(sftp.SFTPHandler.recv_packets)


@watches("SFTPServerHandler._get_next_handle")
def test_a_new_handle_differs_from_all_open_ones() -> None:
    session: Any = sftp.SFTPServerHandler.__new__(sftp.SFTPServerHandler)
    session._next_handle = 2**32 - 1
    session._file_handles, session._dir_handles = {b"\xff\xff\xff\xff": "file"}, {b"\0\0\0\0": "folder"}
    assert [session._get_next_handle(), session._get_next_handle()] == [b"\0\0\0\1", b"\0\0\0\2"]


@watches("SFTPServerHandler._extensions")
def test_clients_get_the_extensions_of_the_class() -> None:
    assert "extensions.extend(self._extensions)" in source(sftp.SFTPServerHandler.run)
    assert all(
        isinstance(name, bytes) and isinstance(data, bytes) for name, data in sftp.SFTPServerHandler._extensions
    )


@watches("SSHPacketLogger.log_sent_packet", "SSHPacketLogger.log_received_packet")
def test_only_two_methods_log_a_line_for_every_packet() -> None:
    said = source(packet.SSHPacketLogger)
    assert said.count("self._log_packet(") == 2
    for logs in (packet.SSHPacketLogger.log_sent_packet, packet.SSHPacketLogger.log_received_packet):
        assert source(logs).count("self._log_packet(") == 1
        assert inspect.signature(logs).return_annotation is None
    assert "self.log_sent_packet(" in source(sftp.SFTPHandler.send_packet)
    assert "self.log_received_packet(" in source(sftp.SFTPHandler.recv_packets)


@watches("SSHStreamSession._chan", "SSHStreamSession.connection_lost", "SSHServerStreamSession.session_started")
def test_a_session_has_its_channel_from_beginning_to_end() -> None:
    assert "self._chan = chan" in source(stream.SSHStreamSession.connection_made)
    assert ".connection_made(" in source(channel.SSHChannel._finish_open_request)
    assert "self._session.session_started()" in source(channel.SSHChannel._report_response)
    assert "self._session.connection_lost(exc)" in source(channel.SSHChannel._cleanup)
    assert "self._chan" not in source(stream.SSHStreamSession.connection_lost)


@watches("pause_writing", "resume_writing")
def test_a_connection_ignores_that_its_transport_is_full() -> None:
    assert issubclass(connection.SSHConnection, asyncio.Protocol)
    for name in ("pause_writing", "resume_writing"):
        # Called without a connection: the replaced methods use nothing of it.
        assert getattr(connection.SSHConnection, name)(None) is None
        assert f"def {name}" not in source(connection.SSHServerConnection)


@watches("send_userauth_failure")
def test_every_refused_attempt_is_answered_by_one_method_of_the_connection() -> None:
    assert list(inspect.signature(connection.SSHServerConnection.send_userauth_failure).parameters) == [
        "self",
        "partial_success",
    ]
    assert "self._conn.send_userauth_failure(partial_success)" in source(auth.ServerAuth.send_failure)
    assert "conn.send_userauth_failure(False)" in source(auth.lookup_server_auth)
    sent = [
        (file.name, line.strip())
        for file in sorted(Path(connection.__file__).parent.glob("*.py"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bMSG_USERAUTH_FAILURE,", line) and "import" not in line
    ]
    assert [name for name, line in sent if "send_packet" in line] == ["connection.py"]


@watches("send_userauth_success")
def test_every_login_succeeds_through_one_method_of_the_connection() -> None:
    assert inspect.iscoroutinefunction(connection.SSHServerConnection.send_userauth_success)
    assert "await self._conn.send_userauth_success()" in source(auth.ServerAuth.send_success)
    succeeding = source(connection.SSHServerConnection.send_userauth_success)
    assert succeeding.index("MSG_USERAUTH_SUCCESS") < succeeding.index("self._owner.auth_completed()")


@watches("SFTPHandler._log_extensions")
def test_the_library_reads_extensions_of_a_client_only_for_the_log() -> None:
    assert "return" not in source(sftp.SFTPHandler._log_extensions)
    assert source(sftp.SFTPServerHandler.run).count("rcvd_extensions") == 4


@watches("all_sig_algorithms")
def test_a_key_verifies_only_signatures_of_its_remaining_algorithms() -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    offered: Any = public_key.decode_ssh_public_key(key.public_data)
    by_sha1, by_sha2 = key.sign(b"text", b"ssh-rsa"), key.sign(b"text", b"rsa-sha2-256")
    assert offered.verify(b"text", by_sha1)
    offered.all_sig_algorithms = SAFE_RSA_SIGNATURES
    assert not offered.verify(b"text", by_sha1)
    assert offered.verify(b"text", by_sha2)
    assert b"ssh-rsa" in type(offered).all_sig_algorithms, "other keys are unchanged"
    asked = source(connection.SSHServerConnection._validate_client_public_key)
    assert "self._owner.validate_public_key(username, key)" in asked
    assert "key.verify(" in source(connection.SSHServerConnection.validate_public_key)


@watches("host_key_algorithms")
def test_a_host_key_signs_only_with_its_remaining_algorithms() -> None:
    (pair,) = asyncssh.load_keypairs([asyncssh.generate_private_key("ssh-rsa", key_size=2048)])
    assert {b"ssh-rsa", b"rsa-sha2-256", b"rsa-sha2-512"} <= set(pair.host_key_algorithms)
    assert "for alg in keypair.host_key_algorithms:" in source(connection.SSHServerConnectionOptions.prepare)


@watches("pyca_key", "public_data")
def test_a_key_has_its_blob_and_the_key_of_cryptography() -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    assert isinstance(key.pyca_key, RSAPrivateKey)
    assert key.pyca_key.key_size == 2048
    public = asyncssh.import_public_key(key.export_public_key("openssh"))
    assert isinstance(public.pyca_key, RSAPublicKey)
    assert public.public_data == key.public_data
    assert public.public_data.startswith(b"\0\0\0\x07ssh-rsa")


@watches("packet.SSHPacket", "packet.PacketDecodeError")
def test_a_packet_is_read_in_order_and_raises_if_too_short_or_too_long() -> None:
    read = packet.SSHPacket(b"\0\0\0\x02hi" + (5).to_bytes(8, "big") + b"\0\0\0\x03a,b" + b"rest")
    assert (read.get_string(), read.get_uint64(), read.get_namelist()) == (b"hi", 5, [b"a", b"b"])
    with pytest.raises(packet.PacketDecodeError):
        read.check_end()
    assert read.get_bytes(4) == b"rest"
    read.check_end()
    with pytest.raises(packet.PacketDecodeError):
        read.get_bytes(1)


@watches("constants")
def test_the_constants_are_those_of_the_protocol() -> None:
    """Numbers of draft-ietf-secsh-filexfer-02; FXF_APPEND and FXF_READ are bits of its `pflags`."""
    requests = {
        "OPEN": 3, "CLOSE": 4, "READ": 5, "WRITE": 6, "LSTAT": 7, "FSTAT": 8, "SETSTAT": 9, "FSETSTAT": 10,
        "OPENDIR": 11, "READDIR": 12, "REMOVE": 13, "MKDIR": 14, "RMDIR": 15, "REALPATH": 16, "STAT": 17,
        "RENAME": 18, "READLINK": 19, "SYMLINK": 20,
    }  # fmt: skip
    requests["INIT"] = 1
    for name, number in requests.items():
        assert getattr(constants, f"FXP_{name}") == number
    flags = {"READ": 1, "WRITE": 2, "APPEND": 4, "CREAT": 8, "TRUNC": 16, "EXCL": 32}
    for name, bit in flags.items():
        assert getattr(constants, f"FXF_{name}") == bit
    assert (constants.MSG_IGNORE, constants.MSG_CHANNEL_DATA) == (2, 94)
    used = set(
        re.findall(r"\b(?:c\.)?(FX[PF]_[A-Z]+)\b", "".join(map(source, (handler, inspect.getmodule(TenantFiles)))))
    )
    assert used <= {f"FXP_{name}" for name in requests} | {f"FXF_{name}" for name in flags}


@watches("tunnel", "create_server")
def test_the_library_listens_through_any_object_with_create_server() -> None:
    """The documentation expects an SSH connection here; `Front` is not one."""
    listening = source(connection._listen)
    assert "await tunnel.create_server(tunnel_factory, host, port)" in listening
    assert "return cast(SSHTCPSession, conn_factory())" in listening
    assert "return SSHAcceptor(server, options)" in listening
    assert "if isinstance(tunnels, str):" in source(connection._open_tunnel)
    assert "else:\n        return None" in source(connection._open_tunnel)
    asked = [line for line in listening.splitlines() if "tunnel_server." in line]
    assert len(asked) == 1, "set_tunnel, for a tunnel that the library opened itself"
    assert "[sock.getsockname() for sock in self.sockets]" in source(connection.SSHAcceptor.get_addresses)
    made = source(connection.SSHConnection.connection_made)
    assert "self._peer_addr, self._peer_port = peername[:2]" in made
    assert "transport.get_extra_info('peername')" in made


def test_without_a_login_timeout_the_library_starts_no_timer() -> None:
    assert "if options.login_timeout:" in source(connection.SSHConnection.__init__)


def test_every_internal_name_that_the_source_uses_has_a_canary() -> None:
    assert leaned_on() <= WATCHED


@pytest.mark.parametrize("name", sorted(WATCHED))
def test_every_canary_is_for_a_name_that_the_source_uses(name: str) -> None:
    assert name in leaned_on() or said_in_source(name)
