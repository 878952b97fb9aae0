"""Renders a template with its facts for a visitor, and has the filters of templates."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ground.words import as_sentence, counted
from server.web.office import Visit
from server.web.pages.help.book import book
from server.web.pages.notices import drop_notice, notice_of
from server.web.pages.sentences import users, with_stop
from server.web.pages.words import ACTIONS, SEVERITIES, STATES, value_text
from server.web.segments import segment

STATIC = Path(__file__).parent / "static"
FORM_BYTES_MOST = 1024 * 1024
"""The limit of a form's body: more than any form of the pages needs. A longer one is refused."""

_UTC = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC")

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def render(
    request: Request, template: str, visit: Visit | None = None, *, status: int = 200, **facts: Any
) -> HTMLResponse:
    """Render the page `template` with these facts, and with the notice of the action that led to it, once."""
    notice = notice_of(request)
    html = _templates.get_template(template).render(visit=visit, path=request.url.path, notice=notice, **facts)
    answer = HTMLResponse(html, status)
    if notice:
        drop_notice(request, answer)
    return answer


def prepare() -> None:
    """Compile all templates and render the help, so that no request does it on the event loop.

    Blocks: run it in a thread.
    """
    for name in _templates.list_templates(extensions=["html"]):
        _templates.get_template(name)
    book()


def moment(text: str | None) -> Markup:
    """Return a time (RFC 3339) as HTML in UTC; the script of the page shows it in the reader's zone."""
    if text is None:
        return Markup("–")
    at = datetime.fromisoformat(text)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        text, f"{at:%Y-%m-%d %H:%M:%S} UTC", f"{at:%-d %b %Y, %H:%M} UTC"
    )


def times(text: str) -> Markup:
    """Return `text` as HTML, in which each time such as `2026-12-31 08:00 UTC` is one that `moment` writes.

    A time that does not exist stays text: a user may have typed it.
    """
    pieces: list[str] = []
    end = 0
    for found in _UTC.finditer(text):
        pieces += [text[end : found.start()], _time(found)]
        end = found.end()
    return Markup("").join([*pieces, text[end:]])


def _time(found: re.Match[str]) -> str:
    try:
        return moment(f"{found[1]}T{found[2]}:00Z")
    except ValueError:
        return found[0]


def size(count: int) -> str:
    """Return bytes as text with 3 digits, in powers of 1024."""
    if count < 1024:
        return counted(count, "byte", "bytes")
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.3g} {UNITS[power]}"


def duration(seconds: float) -> str:
    """Return `0.4 s`, `12 s` or `3 min 5 s`."""
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _static(name: str) -> str:
    """Return the address of a static file. It changes with the content, so that browsers never show an old file."""
    return f"/static/{name}?v={_versions[name]}"


_versions = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    for path in sorted(STATIC.iterdir())
    if path.is_file()
}

_templates = Environment(
    loader=PackageLoader("server.web.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.filters.update(
    moment=moment,
    times=times,
    size=size,
    duration=duration,
    segment=segment,
    sentence=as_sentence,
    with_stop=with_stop,
    number=lambda count: f"{count:,}",
    value=value_text,
    users=users,
    counted=counted,
)
_templates.globals.update(static=_static, STATES=STATES, ACTIONS=ACTIONS, SEVERITIES=SEVERITIES)
