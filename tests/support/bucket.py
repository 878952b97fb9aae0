"""S3-compatible storage for tests: moto's server, one process for each process of the run, with a bucket a test."""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import signal
import subprocess
import sys
import urllib.request
from functools import cache
from pathlib import Path

from engine.s3.objects import S3Objects
from engine.s3.urls import parse_bucket
from tests.support import ROOT

KEY_ID, SECRET = "AKIAHEADCOUNTTESTS", "not-to-be-shown-Zm9vYmFy"
FOLDER = "some/folder"
READY = "port "


def bucket_of(folder: Path, endpoint: str | None = None) -> str:
    """Return the URL of the bucket that belongs to `folder`, which is made if there is none; through `endpoint`."""
    name = "b" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]
    _make(name)
    return f"s3://{name}/{FOLDER}?endpoint={endpoint or storage()}&region=eu-central-1"


def objects_of(folder: Path, endpoint: str | None = None) -> S3Objects:
    """Return the objects in the bucket that belongs to `folder`."""
    return S3Objects(parse_bucket(bucket_of(folder, endpoint)), key_file(folder))


def key_file(folder: Path) -> Path:
    """Return a file with the access key."""
    file = folder / "key"
    file.write_text(f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n")
    return file


@cache
def storage() -> str:
    """Return the address of the storage, which is started if it does not run."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.support.bucket"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(started.kill)
    assert started.stdout
    for line in started.stdout:
        if line.startswith(READY):
            return f"http://127.0.0.1:{int(line.removeprefix(READY))}"
    raise AssertionError("moto's server did not start")


@cache
def _make(name: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{storage()}/{name}", method="PUT")):
        pass


# Below: the process.


def _serve() -> None:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(f"{READY}{server.get_host_and_port()[1]}", flush=True)
    sys.stdin.read()  # until the process that started it ends
    os._exit(0)


if __name__ == "__main__":
    _serve()
