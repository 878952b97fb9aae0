"""The end of a command that has used S3-compatible storage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.bucket import key_file
from tests.support.faulty_storage import faulty_storage

PROGRAM = """
import asyncio, sys
from contextlib import suppress
from pathlib import Path
from engine.s3.objects import S3Objects
from engine.s3.urls import parse_bucket
from importer.errors import ImporterError
from server.interrupts import run_to_exit

async def ask():
    with suppress(ImporterError):
        await S3Objects(parse_bucket(sys.argv[1]), Path(sys.argv[2])).size("a")
    print("asked")
    return 7

run_to_exit(lambda: asyncio.run(ask()))
"""
TIMES, AT_ONCE = 5, 4


def test_a_command_that_has_used_s3_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    """A thread of obstore that was not yet ready aborted one process in four."""
    with faulty_storage("http://127.0.0.1:9") as between:
        between.always("refused")
        bucket = f"s3://bucket?endpoint={between.url}&region=eu-central-1"
        command = [sys.executable, "-c", PROGRAM, bucket, str(key_file(tmp_path))]
        ends = []
        for _ in range(TIMES):
            pipe = subprocess.PIPE
            begun = [subprocess.Popen(command, cwd=ROOT, stdout=pipe, text=True) for _ in range(AT_ONCE)]
            ends += [(each.communicate()[0], each.returncode) for each in begun]
    assert ends == [("asked\n", 7)] * TIMES * AT_ONCE
