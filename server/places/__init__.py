"""The place of an installation, as the settings name it: a data folder, or a database."""

from __future__ import annotations

from server.places.folder import FolderPlace
from server.places.place import Place
from server.settings import ServerSettings


def place_of(settings: ServerSettings) -> Place:
    """Return the place that `settings` name. Nothing is opened."""
    return FolderPlace(settings)
