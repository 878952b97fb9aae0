"""The URL of a bucket: `s3://bucket/folder?endpoint=https://host:port&region=name`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

FORM = "s3://bucket/folder?endpoint=https://host:port&region=name, without a password"
"""How a URL looks. All after the bucket may be left out."""
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
FOLDER = re.compile(r"[A-Za-z0-9!_.*'()=,+-]+(/[A-Za-z0-9!_.*'()=,+-]+)*")
ENDPOINT = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")
REGION = re.compile(r"[A-Za-z0-9-]+")
OPTIONS = {"endpoint": ENDPOINT, "region": REGION}


@dataclass(frozen=True, slots=True)
class Bucket:
    """A folder of a bucket. `endpoint` and `region` are those of AWS or of the environment if they are None."""

    name: str
    folder: str = ""
    endpoint: str | None = None
    region: str | None = None

    @property
    def in_words(self) -> str:
        return f"s3://{self.name}/{self.folder}".rstrip("/")


def parse_bucket(url: str) -> Bucket:
    """Return what a URL names. Raises ValueError with what is wrong, without a value of the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"must look like {FORM}") from None
    folder = unquote(parts.path).removeprefix("/").removesuffix("/")
    if parts.scheme != "s3" or not BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise ValueError(f"must look like {FORM}")
    if folder and (not FOLDER.fullmatch(folder) or {".", ".."} & {*folder.split("/")}):
        raise ValueError("the folder may have letters, digits, slashes and the characters ! _ . * ' ( ) = , + -")
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS or name in options:
            raise ValueError(f"may have endpoint and region after the question mark, each once: {FORM}")
        if not OPTIONS[name].fullmatch(value):
            raise ValueError(f"its {name} is not valid: it must look like {FORM}")
        options[name] = value.rstrip("/")
    return Bucket(parts.netloc, folder, options.get("endpoint"), options.get("region"))
