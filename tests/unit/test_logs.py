"""Log lines on stderr."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from server import logs


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_text_line_is_a_sentence_with_its_event_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "info")
    logging.getLogger("x").info("Import %d is queued.", 5, extra={"event": "import_queued", "tenant": "acme"})
    line = capsys.readouterr().err
    assert line.endswith(" info import_queued: Import 5 is queued. tenant=acme\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_calls_that_led_to_an_error_elsewhere_are_a_traceback(
    log_format: logs.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(log_format, "info")
    facts = {"event": "hook_failed", "tenant": "acme", "traceback": '  File "a.py"\n    x\x1b()\nKeyError'}
    logging.getLogger("x").error("The hook failed.", extra=facts)
    told = capsys.readouterr().err
    if log_format == "json":
        assert json.loads(told)["traceback"] == facts["traceback"]
    else:
        lines = ["hook_failed: The hook failed. tenant=acme", '  File "a.py"', r"    x\x1b()", "KeyError", ""]
        assert told.partition(" error ")[2] == "\n".join(lines)


def test_a_json_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "info")
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("x").exception("It broke.", extra={"event": "broke", "import_id": 5})
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["event"], line["message"], line["import_id"]) == ("error", "broke", "It broke.", 5)
    assert line["time"].endswith("Z")
    assert "ValueError: wrong" in line["traceback"]


def test_a_value_of_a_client_cannot_start_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "info")
    logging.getLogger("x").warning("From %s.", "evil\nnew line", extra={"event": "e", "path": "a\r\x1b[2Jb"})
    assert capsys.readouterr().err.count("\n") == 1


WITHOUT_DESCRIPTORS = """
import logging, os, resource
from server import logs
logs.set_up("{format}", "info")
unused = os.open("/", os.O_RDONLY)
os.close(unused)
resource.setrlimit(resource.RLIMIT_NOFILE, (unused, unused))
try:
    [1, 2][
        1 + int("9")
    ]
except IndexError:
    logging.getLogger("x").exception("It broke: %s", "a\u200bb", extra={{"event": "broke", "path": "\u200b"}})
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_with_a_traceback_needs_no_file(log_format: str) -> None:
    """A module that is imported on first use cannot be loaded if the process cannot open files."""
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS.format(format=log_format)],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "It broke" in told
    assert "IndexError" in told
    assert "Too many open files" not in told
    assert "--- Logging error ---" not in told


def test_lines_below_the_log_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "error")
    logging.getLogger("x").warning("Not now.")
    logging.getLogger("asyncssh").warning("Nor this.")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["asyncssh", "aiosqlite", "python_multipart.multipart"])
def test_libraries_log_no_values_of_clients_at_any_level(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "debug")
    logging.getLogger(name).debug("Skipping duplicate ampersand at 1")
    assert capsys.readouterr().err == ""


def test_the_listening_line_is_printed_at_any_level_in_its_exact_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "error")
    logs.announce("text", ("0.0.0.0", 2222), ("::1", 8080))
    assert capsys.readouterr().err == "listening sftp=0.0.0.0:2222 http=[::1]:8080\n"
    logs.announce("json", ("0.0.0.0", 2222), ("127.0.0.1", 8080))
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["sftp_port"], line["http_port"]) == ("listening", 2222, 8080)
