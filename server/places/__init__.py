"""The place of an installation, as the settings name it: a data folder, or a database."""

from __future__ import annotations

from server.places.folder import FolderPlace
from server.places.place import Place
from server.settings import ServerSettings, SettingsError


def place_of(settings: ServerSettings) -> Place:
    """Return the place that `settings` name. Nothing is opened."""
    if settings.database_url is None:
        return FolderPlace(settings)
    try:
        from server.places.database import DatabasePlace  # its driver is an extra
    except ImportError as error:
        raise SettingsError(
            f"HEADCOUNT_DATABASE_URL needs psycopg, which is not installed ({error}). "
            "Install it: pip install 'headcount[postgres]'"
        ) from error
    return DatabasePlace(settings.database_url.get_secret_value(), settings.secret_key_file)
