"""Uncaught exceptions are logged, at most once a second."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest

from server.faults import Faults, shortage
from server.seldom import Seldom


def test_a_repeated_event_is_logged_once_a_second_with_its_count() -> None:
    seldom = Seldom()
    assert [seldom.again(now) for now in (0.0, 0.1, 0.9, 1.0, 1.5, 9.0)] == [1, 0, 0, 3, 0, 2]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_a_shortage_is_recognized_by_its_error_number(number: int) -> None:
    assert shortage(OSError(number, "text"))


def test_other_errors_are_not_shortages() -> None:
    assert shortage(MemoryError())
    assert shortage(OSError(errno.ENOENT, "text")) is None
    assert shortage(None) is None


def test_a_failed_accept_is_logged_once_and_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    faults, loop = Faults(), asyncio.new_event_loop()
    faults.watch(loop)
    for _ in range(512):
        loop.call_exception_handler({"message": "accept", "exception": OSError(errno.EMFILE, "Too many")})
    loop.close()
    (line,) = caplog.records
    assert line.exc_info is None
    assert (line.levelno, line.__dict__["event"], line.__dict__["times"]) == (logging.ERROR, "shortage", 1)


@pytest.mark.logs("loop_fault")
def test_an_internal_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    faults, loop = Faults(), asyncio.new_event_loop()
    faults.watch(loop)
    for _ in range(3):
        loop.call_exception_handler({"message": "Task broke", "exception": ValueError("x")})
    loop.close()
    (line,) = caplog.records
    assert line.exc_info
    assert "Task broke" in line.getMessage()
