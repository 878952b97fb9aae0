"""Run an installed Headcount as an operator would: `python -m deploy.release.check PATH/TO/headcount`.

It exits with 0 if the server starts on an empty data folder, answers, shows its pages and help, and stops in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 60
ANSWER_S = 30
EXPECTED = {
    "/readyz": '"database":true',
    "/metrics": "headcount_build_info{version=",
    "/sign-in": "<form",
    "/help": "owner-guide",
    "/help/sync_users.csv": "first_name",
    "/static/headcount.css": "{",
    "/api/v1/openapi.json": '"openapi"',
}
"""Paths of the server, and a text that each answer has: code, SQL, templates, styles and documents are there."""


class Failed(Exception):  # noqa: N818 - a state
    """The installation does not work; the message is a sentence."""


def check(command: Path) -> str:
    """Use the installed `headcount`, and return the version that it prints. Raises Failed."""
    with tempfile.TemporaryDirectory(prefix="headcount-") as folder:
        env = {
            "HEADCOUNT_DATA_DIR": str(Path(folder, "data")),
            "HEADCOUNT_SFTP_HOST": "127.0.0.1",
            "HEADCOUNT_SFTP_PORT": "0",
            "HEADCOUNT_HTTP_PORT": "0",
            "HEADCOUNT_LOG_FORMAT": "json",
            "PATH": os.defpath,
            "HOME": folder,
        }
        version = _output([str(command), "--version"], env)
        _output([str(command), "tenant", "add", "acme"], env)
        with _serving([str(command), "serve"], env) as ready:
            for path, text in EXPECTED.items():
                _expect(f"http://127.0.0.1:{ready['http_port']}{path}", text)
        return version


def _output(command: list[str], env: dict[str, str]) -> str:
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=START_S)
    if ran.returncode:
        raise Failed(f"{' '.join(command)} exited with {ran.returncode}: {ran.stderr}")
    return ran.stdout.strip()


@contextmanager
def _serving(command: list[str], env: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run the server, and yield the line that it logs when it is ready."""
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        too_late = threading.Timer(START_S, server.kill)
        too_late.start()
        lines: list[str] = []
        try:
            for line in server.stderr:
                lines.append(line)
                if '"listening"' in line:
                    break
            else:
                raise Failed(f"the server ended: {''.join(lines)}")
            too_late.cancel()
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield json.loads(lines[-1])
            server.send_signal(signal.SIGTERM)
            if code := server.wait(START_S):
                raise Failed(f"the server exited with {code}")
        finally:
            too_late.cancel()
            server.kill()


def _expect(url: str, text: str) -> None:
    with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:  # noqa: S310 - an address of this machine
        if text not in answer.read().decode():
            raise Failed(f"{url} does not have {text}")


def main() -> None:
    """Check the command that the first argument names."""
    command = Path(sys.argv[1]).absolute()
    try:
        version = check(command)
    except (Failed, OSError) as error:
        sys.exit(f"{command}: {error}")
    print(f"{version} works: {command}")


if __name__ == "__main__":
    main()
