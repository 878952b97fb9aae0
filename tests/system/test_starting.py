"""A start warns of what may be a mistake: an absent data folder, and variables that are not settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess


def told(server: ServerProcess) -> dict[str, tuple[str, str]]:
    """Return the level and the message of each event of the log since the newest start."""
    return {line["event"]: (line["level"], line["message"]) for line in server.lines() if "level" in line}


def test_a_start_warns_of_a_variable_that_is_not_a_setting(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"HEADCOUNT_SFPT_PORT": "22"}) as server:
        sentence = "HEADCOUNT_SFPT_PORT is not a setting; did you mean HEADCOUNT_SFTP_PORT?"
        assert told(server)["unknown_variable"] == ("warning", sentence)


@pytest.mark.only_on("sqlite", "no other engine has a data folder")
def test_a_start_warns_of_an_absent_data_folder(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        sentence = f"There is no data folder {server.data}; it is created."
        assert told(server)["data_folder_absent"] == ("warning", sentence)
        server.stop()
        server.start()
        assert "data_folder_absent" not in server.events()
