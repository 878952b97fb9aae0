"""How the server speaks to its operator: lines on stderr, as text or as JSON.

A line is one sentence with an event name and ids, given by `extra={"event": ..., "tenant": ..., ...}`. Contents of
files and secrets have no place in it.
"""

from __future__ import annotations

# The first three are needed by a line with a traceback or an odd letter, and loaded by Python when they are needed
# first. That may be when no file can be opened.
import ast  # noqa: F401
import encodings.unicode_escape  # noqa: F401
import json
import linecache  # noqa: F401
import logging
import sys
import tokenize  # noqa: F401
from datetime import UTC, datetime
from typing import Literal

Format = Literal["text", "json"]

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event", "color_message"}
_QUIET = {
    "asyncssh": logging.WARNING,
    "uvicorn": logging.ERROR,
    "aiosqlite": logging.WARNING,
    "python_multipart": logging.ERROR,
}
"""Libraries that tell more than an operator wants, names and addresses that clients made up among it, or whose lines
any client can make by the million: uvicorn warns of every request that is not HTTP, the last of every `&` too many in
a form."""


def set_up(log_format: Format, level: str) -> None:
    """Log to stderr from now on. `level` is a level's name in lower case."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLogger().level))


def announce(log_format: Format, sftp: tuple[str, int], http: tuple[str, int]) -> None:
    """Say on stderr, at any level, that the server is ready and where. Other programs wait for this line."""
    if log_format == "json":
        facts = {"event": "listening", "sftp_host": sftp[0], "sftp_port": sftp[1]}
        line = json.dumps({"time": _stamp(datetime.now(UTC)), **facts, "http_host": http[0], "http_port": http[1]})
    else:
        line = f"listening sftp={_address(sftp)} http={_address(http)}"
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this line is an interface, not a message


class TextLines(logging.Formatter):
    """`TIME LEVEL event sentence key=value ...`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={_plain(value)}" for name, value in _facts(record).items())
        line = f"{_moment(record)} {record.levelname.lower()} {_event(record)}: {_plain(record.getMessage())}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, message, the ids, and `traceback` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "event": _event(record),
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _event(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", record.name))


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _USUAL}


def _moment(record: logging.LogRecord) -> str:
    return _stamp(datetime.fromtimestamp(record.created, UTC))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> str:
    """One line, whatever a client called itself: line ends and control characters are shown, not obeyed."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _address(where: tuple[str, int]) -> str:
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
