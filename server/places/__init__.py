"""The place of an installation, as the settings name it: a data folder, or a database."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from engine.s3.urls import parse_bucket
from engine.shared.objects import Objects
from importer.errors import DatabaseUnusable
from server.places.folder import FolderPlace
from server.places.place import Place
from server.settings import ServerSettings, SettingsError

INSTALL = (
    "Install it from a copy of Headcount's repository: "
    f"{sys.prefix}/bin/pip install --require-hashes -r requirements-postgres.lock"
)
"""No advice names the package of Headcount alone: pip would look for it in the public index."""


def place_of(settings: ServerSettings) -> Place:
    """Return the place that `settings` name. Nothing is opened. Raises SettingsError."""
    if settings.database_url is None:
        if settings.files_url is not None:
            raise SettingsError(
                "HEADCOUNT_FILES_URL needs a database beside it. Set HEADCOUNT_DATABASE_URL, or leave it out"
            )
        return FolderPlace(settings)
    try:
        from server.places.database import DatabasePlace  # its driver is an extra
    except ImportError as error:
        raise SettingsError(
            f"HEADCOUNT_DATABASE_URL needs psycopg, which is not installed ({error}). {INSTALL}"
        ) from error
    return DatabasePlace(settings.database_url.get_secret_value(), settings.secret_key_file, objects_of(settings))


def objects_of(settings: ServerSettings) -> Objects | None:
    """Return the storage of the bytes of files that `settings` name; None: the database. Raises SettingsError."""
    return _objects(settings.files_url, settings.files_key_file) if settings.files_url else None


@cache
def _objects(url: str, key_file: Path | None) -> Objects:
    """Return the storage at `url`. One object has the connections of this process. Raises SettingsError."""
    try:
        from engine.s3.objects import S3Objects  # its driver is an extra
    except ImportError as error:
        raise SettingsError(
            f"HEADCOUNT_FILES_URL needs obstore, which is not installed ({error}). {INSTALL}"
        ) from error
    try:
        return S3Objects(parse_bucket(url), key_file)
    except DatabaseUnusable as error:
        raise SettingsError(str(error)) from error
