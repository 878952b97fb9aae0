"""A start warns of what may be a mistake: an absent data folder, and variables that are not settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess


@pytest.mark.only_on("sqlite", "no other engine has a data folder")
def test_a_start_warns_of_an_absent_data_folder_and_of_unknown_variables(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"HEADCOUNT_SFPT_PORT": "22"}) as server:
        told = {line["event"]: (line["level"], line["message"]) for line in server.lines() if "level" in line}
        assert told["data_folder_absent"] == ("warning", f"There is no data folder {server.data}; it is created.")
        sentence = "HEADCOUNT_SFPT_PORT is not a setting; did you mean HEADCOUNT_SFTP_PORT?"
        assert told["unknown_variable"] == ("warning", sentence)
        server.stop()
        server.start()
        assert "data_folder_absent" not in server.events()
