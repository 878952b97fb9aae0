"""The socket that HTTP comes by."""

from __future__ import annotations

import socket

from server.web.listener import _listening


def test_no_piece_of_an_answer_waits_for_the_one_before_to_be_acknowledged() -> None:
    with _listening("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
