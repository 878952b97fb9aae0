"""The documents of the help, rendered once."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from server.web.pages.help.markdown import Document, Picture, rendered

DOCS = Path(__file__).parent / "docs"
PICTURES = DOCS / "images"
SAMPLE = "sync_users.csv"
"""The name of the sample, a small file of users, among the documents."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One page of the help. `name` is its address and the name of its document; `about` says what it has."""

    name: str
    title: str
    about: str


GROUPS: Mapping[str, tuple[Topic, ...]] = {
    "For owners": (
        Topic(
            "owner-guide", "Guide for owners", "Each page, step by step: imports, decisions, undo, users and keys."
        ),
        Topic("file-format", "File format", "The columns of the file, and how to export it from a spreadsheet."),
        Topic("errors", "Import messages", "Each message of an import, with its cause and what to do."),
        Topic("from-your-hr-system", "From your HR system", "Settings for the files of six HR systems."),
        Topic("settings", "Settings", "Each setting, with its type and its default."),
        Topic("api", "API", "How a program reads imports and users, and makes decisions."),
    ),
    "For operators": (
        Topic("operating", "Operating Headcount", "Health checks, retention, bans, metrics, logs, limits and mail."),
        Topic("cli", "Command line", "Each command of headcount."),
        Topic("postgresql", "PostgreSQL", "A database in place of the data folder, for one server or several."),
        Topic("scaling", "Several servers", "When several servers are needed, how many, and what a failure costs."),
        Topic("moving", "Move to a database, and back", "How all data moves to PostgreSQL, or to a data folder."),
        Topic("s3", "Files in S3", "S3-compatible storage for the bytes of files, beside PostgreSQL."),
    ),
}
TOPICS = {topic.name: topic for group in GROUPS.values() for topic in group}
_LINK = re.compile(r"(?:([\w-]+)\.md)?(#.+)?")


@cache
def book() -> Mapping[str, Document]:
    """Return the documents by topic. The first call reads and renders all of them, which takes a part of a second."""
    return {name: rendered(_source(name), link_to, picture_of) for name in TOPICS}


def link_to(address: str) -> str | None:
    """Return where a link in a document leads on the page. None: to a document that is not in the help. Pure."""
    if re.match(r"https?:|mailto:", address):
        return address
    if address == SAMPLE:
        return f"/help/{SAMPLE}"
    found = _LINK.fullmatch(address)
    if not found or (found[1] and found[1] not in TOPICS):
        return None
    return (f"/help/{found[1]}" if found[1] else "") + (found[2] or "")


@cache
def sample() -> bytes:
    """Return the sample: a file that is imported without a message, to be changed and sent."""
    return (DOCS / SAMPLE).read_bytes()


@cache
def picture_of(path: str) -> Picture:
    """Return the picture at `path` in the documents. Its address has its version, so browsers may keep it."""
    content = (DOCS / path).read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # of a PNG
    return Picture(f"/help/{path}?v={hashlib.sha256(content).hexdigest()[:12]}", width, height)


def _source(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")
