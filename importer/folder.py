"""Paths inside a tenant's folder. Names only: nothing here is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TenantFolder:
    """The folder of one tenant, `tenants/<name>`."""

    root: Path

    @property
    def files(self) -> Path:
        """The folder that the tenant sees as `/`."""
        return self.root / "files"

    @property
    def results(self) -> Path:
        return self.files / "results"

    @property
    def test(self) -> Path:
        """Uploads here are dry runs."""
        return self.files / "test"

    @property
    def staging(self) -> Path:
        """Unfinished files: on the same file system as the rest, and in no listing."""
        return self.root / "staging"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def messages(self) -> Path:
        return self.root / "messages"

    @property
    def runs(self) -> Path:
        """The copies and reports of the runs of hooks other than `sync_users`."""
        return self.root / "runs"

    def run_copy(self, run_id: int) -> Path:
        """Return the immutable copy that a run reads."""
        return self.root / f"runs/{run_id}.file"

    def run_copies(self, run_ids: Iterable[int]) -> list[Path]:
        """Return the copies of many runs."""
        runs = self.runs
        return [runs / f"{run_id}.file" for run_id in run_ids]

    def run_reports(self, run_id: int) -> Path:
        """Return the folder of what a run reports while it runs."""
        return self.runs / f"{run_id}.reports"

    @property
    def users_db(self) -> Path:
        return self.root / "users.db"

    @property
    def search_db(self) -> Path:
        """The search index of the users: made from users.db, and made again if it is missing."""
        return self.root / "search.db"

    @property
    def webhook_secret(self) -> Path:
        """The secret that the tenant's webhooks are signed with."""
        return self.root / "webhook.secret"

    @property
    def paused(self) -> Path:
        """An empty file: the feed may be paused. Without it, the feed is not."""
        return self.root / "paused"

    @property
    def keys(self) -> Path:
        """The file of the tenant's keys."""
        return self.root / "keys.json"

    def visible(self, path: str) -> Path:
        """Return the file that the tenant sees at `path` (absolute, as the tenant writes it, without `..`)."""
        return self.files / path.lstrip("/")

    def copy(self, import_id: int) -> Path:
        """Return the immutable copy that an import reads."""
        return self.uploads / f"{import_id}.csv"

    def said(self, import_id: int) -> Path:
        """Return the file of an import's messages: one JSON object a line."""
        return self.messages / f"{import_id}.jsonl"

    def left(self, import_id: int) -> Path:
        """Return the file of what an undo did not restore, and why: one JSON object a line."""
        return self.messages / f"{import_id}.undo.jsonl"

    def messages_of(self, import_id: int) -> tuple[Path, Path, Path]:
        """Return the files that an import makes."""
        return self.said(import_id), self.errors(import_id), self.touched(import_id)

    def errors(self, import_id: int) -> Path:
        return self.messages / f"{import_id}.errors.csv"

    def touched(self, import_id: int) -> Path:
        """Return the file of the users that a held import or a dry run would change: one JSON object a line."""
        return self.messages / f"{import_id}.touched.jsonl"

    def advice(self, import_id: int) -> Path:
        """Return the file of the advice on an import's file."""
        return self.messages / f"{import_id}.advice.json"

    @property
    def newest_advice(self) -> Path:
        """The newest advice, and what it was about."""
        return self.messages / "last.advice.json"


FolderOf = Callable[[str], TenantFolder]
"""Returns the folder of the tenant with a name."""
