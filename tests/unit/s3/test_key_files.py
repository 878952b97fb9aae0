"""The access key in a file: read again and again, and never shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.s3.key_files import KeyFile
from importer.errors import DatabaseUnusable

GOOD = "[default]\naws_access_key_id = id1\naws_secret_access_key = secret1\n"


def test_a_key_file_is_read_as_programs_of_aws_do(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(GOOD + "aws_session_token = token1\nregion = x\n\n[other]\naws_access_key_id = no\n")
    found = KeyFile(file)()
    assert (found["access_key_id"], found["secret_access_key"], found["token"]) == ("id1", "secret1", "token1")
    assert found["expires_at"]
    assert 0 < (found["expires_at"] - datetime.now(UTC)).total_seconds() <= 300


def test_a_replaced_key_is_used_and_a_broken_file_keeps_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(GOOD)
    key = KeyFile(file)
    file.write_text(GOOD.replace("1", "2"))
    assert key()["secret_access_key"] == "secret2"
    file.write_text("[default]\naws_access_")
    assert key()["secret_access_key"] == "secret2"
    file.unlink()
    assert key()["secret_access_key"] == "secret2"


@pytest.mark.parametrize(
    "text",
    ["", "secret1", "[default]\nsecret1", "[other]\nsecret1 = 1\n", "[default]\naws_access_key_id = secret1\n"],
)
def test_a_wrong_key_file_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(DatabaseUnusable, match="is not a file of an access key") as refused:
        KeyFile(file)
    assert "secret1" not in str(refused.value)
    assert refused.value.__suppress_context__
    file.unlink()
    with pytest.raises(DatabaseUnusable, match=r"cannot be read: No such file .*HEADCOUNT_FILES_KEY_FILE"):
        KeyFile(file)
