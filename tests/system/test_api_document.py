"""The OpenAPI document is true: schemathesis makes thousands of valid and invalid requests from it.

A new finding is looked at with the command that it prints; with another `--seed` and more `--max-examples` it finds
more, and takes longer.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S

CONFIG = Path(__file__).with_name("schemathesis.toml")
NAMES = [f"user{number}" for number in range(20)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One tenant with an import of each kind; wrong tokens are not delayed."""
    with ServerProcess(tmp_path_factory.mktemp("server"), entry="tests.support.unslowed_server") as running:
        running.add_tenant("acme", deactivate_missing="true")
        for content in (people(*NAMES), people(*NAMES) + b"Bob,,bob@example.com\n", b"", people("user1")):
            running.put("acme", content)
            running.wait("acme")
        yield running


@pytest.mark.parametrize(
    ("token", "how"),
    [
        (("acme", "--role", "owner"), ("--max-examples", "5")),
        (("--operator",), ("--max-examples", "3", "--phases", "examples,fuzzing")),
    ],
    ids=["owner", "operator"],
)
def test_every_answer_is_as_the_document_says(
    server: ServerProcess, token: tuple[str, ...], how: tuple[str, ...]
) -> None:
    text = server.cli("token", "create", *token).text.strip()
    ran = subprocess.run(
        [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", str(CONFIG), "run", f"http://127.0.0.1:{server.http_port}/api/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {text}", "--seed", "1", "--no-color", *how),
            *("--request-timeout", str(DEADLINE_S)),
        ],
        cwd=server.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert "39 selected / 42 total" in ran.stdout
    assert not [line for line in server.lines() if line.get("level") == "error"]
