"""Writes a mail as plain text and as HTML. Both say the same.

The HTML has styles only inside its elements, because mail programs drop others. It loads nothing. It sets no color
but those of its button, so it is readable in a dark mail program.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from importer.file.letters import one_line
from server.notify.layout import Body, Letter, text_of

_templates = Environment(
    loader=PackageLoader("server.notify", "html"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.filters["line"] = one_line


def letter_from(body: Body) -> Letter:
    """Return the mail with its subject, text and HTML."""
    subject = one_line(body.subject)
    html = _templates.get_template("mail.html").render(subject=subject, body=body)
    return Letter(subject, text_of(body), html)
