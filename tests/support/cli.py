"""Run the command line as a function that returns its output and exit code."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from server.cli import main

ABOUT_THE_FOLDER = ("Warning: ", "Created the data folder ", '{"severity": "warning"')
CREATED = '"code": "data_folder_created"'


@dataclass(frozen=True, slots=True)
class Ran:
    """The end of a command. `err` is stderr without `warned`: lines about the data folder and the environment."""

    code: int
    out: bytes
    err: str
    warned: str = ""

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_cli(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run `headcount` in this process, with pipes for its streams. HEADCOUNT_DATA_DIR must be set."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for name in ("out", "err")}
    with (
        patch.object(sys, "stdout", streams["out"]),
        patch.object(sys, "stderr", streams["err"]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
    ):
        code = main(list(arguments))
    out, err = (streams[name].buffer.getvalue() for name in ("out", "err"))  # type: ignore[attr-defined]
    lines = err.decode().splitlines(keepends=True)
    warned = [line for line in lines if line.startswith(ABOUT_THE_FOLDER) or CREATED in line]
    return Ran(code, out, "".join(line for line in lines if line not in warned), "".join(warned))
