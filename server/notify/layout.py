"""The parts of a mail, their order in plain text, and the addresses of the pages that mails link to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from importer.file.letters import one_line


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its address. `subject` is one line; `html` says the same as `text`, None: only text is sent."""

    subject: str
    text: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A page: the reason to open it (`label`), and its address. Without one, `place` says where to find the page.

    In a list, the label is the name of the page, and `text` follows it.
    """

    label: str
    url: str | None
    place: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A paragraph, and a list below it. An entry of the list may be a link."""

    text: str = ""
    entries: tuple[str | Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Body:
    """A mail before it is text or HTML: what happened and what is needed, the page for that, details, and facts."""

    subject: str
    first: str
    link: Link | None = None
    sections: tuple[Section, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of pages below `public_url`; None without it."""

    public_url: str | None = None

    def imports(self, tenant: str) -> str | None:
        """Return the address of the list of imports."""
        return self.public_url and f"{self.public_url}/tenants/{tenant}/imports"

    def one_import(self, tenant: str, import_id: int) -> str | None:
        """Return the address of the page of one import."""
        return self.public_url and f"{self.public_url}/tenants/{tenant}/imports/{import_id}"

    def one_run(self, tenant: str, run_id: int) -> str | None:
        """Return the address of the page of one run of a hook."""
        return self.public_url and f"{self.public_url}/tenants/{tenant}/files/{run_id}"


NO_LINKS = Links()


def text_of(body: Body) -> str:
    """Return the mail as plain text."""
    return "\n\n".join("\n".join(part) for part in _parts(body)) + "\n"


def _parts(body: Body) -> Iterator[list[str]]:
    yield [one_line(body.first)]
    if body.link:
        yield [f"{body.link.label}:", body.link.url] if body.link.url else [body.link.place]
    for section in body.sections:
        yield [*([one_line(section.text)] if section.text else []), *map(_entry, section.entries)]
    if body.facts:
        yield [f"{name}: {one_line(value)}" for name, value in body.facts]


def _entry(entry: str | Link) -> str:
    if isinstance(entry, str):
        return f"- {one_line(entry)}"
    return f"- {entry.label}: {one_line(entry.text)}" + (f"\n  {entry.url}" if entry.url else "")
