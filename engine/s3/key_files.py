"""The access key of S3 in a file, as programs of AWS keep it: `~/.aws/credentials`."""

from __future__ import annotations

import configparser
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import DatabaseUnusable

if TYPE_CHECKING:
    from obstore.store import S3Credential

SECTION = "default"
READ_EVERY = timedelta(minutes=5)
FORM = "[default], aws_access_key_id = ... and aws_secret_access_key = ..."


class KeyFile:
    """The access key in `file`. It is read again every five minutes, so it can be replaced while the server runs.

    A file that cannot be read later leaves the key as it was.
    """

    def __init__(self, file: Path) -> None:
        """Read it. Raises DatabaseUnusable, which shows nothing of the file."""
        self._file = file
        self._known = self._read()

    def __call__(self) -> S3Credential:
        with suppress(DatabaseUnusable):
            self._known = self._read()
        return {**self._known, "expires_at": datetime.now(UTC) + READ_EVERY}

    def _read(self) -> S3Credential:
        found = configparser.RawConfigParser()
        try:
            found.read_string(self._file.read_text(encoding="utf-8"))
            section = found[SECTION]
            key, secret = section["aws_access_key_id"].strip(), section["aws_secret_access_key"].strip()
        except OSError as error:
            raise DatabaseUnusable(
                f"{self._file} cannot be read: {error.strerror} (HEADCOUNT_FILES_KEY_FILE)"
            ) from None
        except (configparser.Error, KeyError, UnicodeDecodeError):
            raise DatabaseUnusable(
                f"{self._file} is not a file of an access key. Write three lines into it: {FORM} "
                "(HEADCOUNT_FILES_KEY_FILE)"
            ) from None
        token = section.get("aws_session_token", "").strip()
        return {"access_key_id": key, "secret_access_key": secret, "token": token or None, "expires_at": None}
