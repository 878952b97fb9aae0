"""Where what is in a tenant's folder. Names only: nothing here is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TenantFolder:
    """The folder of one tenant, `tenants/<name>`."""

    root: Path

    @property
    def files(self) -> Path:
        """What the tenant sees as `/`."""
        return self.root / "files"

    @property
    def results(self) -> Path:
        return self.files / "results"

    @property
    def test(self) -> Path:
        """What lands here is only tried."""
        return self.files / "test"

    @property
    def staging(self) -> Path:
        """What is not finished: on the same file system as the rest, and in no listing."""
        return self.root / "staging"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def messages(self) -> Path:
        return self.root / "messages"

    @property
    def users_db(self) -> Path:
        return self.root / "users.db"

    @property
    def search_db(self) -> Path:
        """The index of the users for searching: made from users.db, and made again if it is not there."""
        return self.root / "search.db"

    @property
    def webhook_secret(self) -> Path:
        """What the tenant's webhooks are signed with."""
        return self.root / "webhook.secret"

    @property
    def keys(self) -> Path:
        """The key ring."""
        return self.root / "keys.json"

    def visible(self, path: str) -> Path:
        """The file that the tenant sees at `path` (absolute, as the tenant spells it, without `..`)."""
        return self.files / path.lstrip("/")

    def copy(self, import_id: int) -> Path:
        """The immutable copy an import works on."""
        return self.uploads / f"{import_id}.csv"

    def said(self, import_id: int) -> Path:
        """What an import had to say: one JSON object a line."""
        return self.messages / f"{import_id}.jsonl"

    def left(self, import_id: int) -> Path:
        """What an undo left as it was, and why: one JSON object a line."""
        return self.messages / f"{import_id}.undo.jsonl"

    def errors(self, import_id: int) -> Path:
        return self.messages / f"{import_id}.errors.csv"

    def touched(self, import_id: int) -> Path:
        """Whom a held import or a dry run would touch: one JSON object a line."""
        return self.messages / f"{import_id}.touched.jsonl"

    def advice(self, import_id: int) -> Path:
        """Advice on the file of an import."""
        return self.messages / f"{import_id}.advice.json"

    @property
    def last_advice(self) -> Path:
        """The last advice that was made, and what it was about."""
        return self.messages / "last.advice.json"


FolderOf = Callable[[str], TenantFolder]
"""The folder of the tenant of a name."""
