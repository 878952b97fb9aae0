"""The log of the server: lines on stderr, as text or as JSON.

A line is one sentence with an event name and ids, given by `extra={"event": ..., "tenant": ..., ...}`. It never has
contents of files or secrets. A `traceback` among them follows on further lines, as that of an exception does.
"""

from __future__ import annotations

# Python loads the modules with "noqa: F401" for the first line with a traceback or an unprintable character. By then
# the process may be unable to open a file, so they are loaded now.
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
"""The lowest level at which each library is logged. Lower lines have names and addresses that clients made up, or any
client can cause them by the million. For example, uvicorn warns of each request that is not HTTP, and
python_multipart of each surplus `&` in a form."""


def set_up(log_format: Format, level: str) -> None:
    """Log to stderr from now on. `level` is the name of a level, in lower case."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLogger().level))


def announce(log_format: Format, sftp: tuple[str, int], http: tuple[str, int]) -> None:
    """Print on stderr, at any log level, that the server is ready, and its addresses. Other programs wait for it."""
    if log_format == "json":
        facts = {"event": "listening", "sftp_host": sftp[0], "sftp_port": sftp[1]}
        line = json.dumps({"time": _stamp(datetime.now(UTC)), **facts, "http_host": http[0], "http_port": http[1]})
    else:
        line = f"listening sftp={_address(sftp)} http={_address(http)}"
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this line is an interface, not a message


class TextLines(logging.Formatter):
    """Lines `TIME LEVEL event: sentence key=value ...`; a traceback follows on further lines."""

    def format(self, record: logging.LogRecord) -> str:
        found = _facts(record)
        trace = str(found.pop("traceback", "")).splitlines()
        facts = "".join(f" {name}={_plain(value)}" for name, value in found.items())
        line = f"{_moment(record)} {record.levelname.lower()} {_event(record)}: {_plain(record.getMessage())}{facts}"
        if record.exc_info:
            return f"{line}\n{self.formatException(record.exc_info)}"
        return "\n".join([line, *map(_plain, trace)])


class JsonLines(logging.Formatter):
    """Lines that are JSON objects: `time`, `level`, `event`, `message`, the ids, and `traceback` if there is one."""

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
    """Return `value` on one line: line ends and control characters, which clients can send, become escapes."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _address(where: tuple[str, int]) -> str:
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
