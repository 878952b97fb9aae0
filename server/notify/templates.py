"""The mail of an invitation from its template: plain substitution of `{first_name}` and the like. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from importer.file.letters import one_line
from server.notify.letters import Letter
from server.tenants.invitation_template import PLACEHOLDER, InvitationTemplate

BUILT_IN = InvitationTemplate(
    subject="Welcome, {first_name}",
    text="Hello {first_name} {last_name},\n\n"
    "an account was made for you at {tenant}, with the e-mail address {email}.\n",
)
"""For tenants without a template."""


def choose(templates: Mapping[str, InvitationTemplate], language: str) -> InvitationTemplate:
    """The template in `language`, else in the same language of elsewhere (`pt` for `pt-BR`), else in English."""
    for wanted in (language, language.partition("-")[0], "en"):
        if wanted in templates:
            return templates[wanted]
    return BUILT_IN


def write(template: InvitationTemplate, values: Mapping[str, str | None]) -> Letter:
    """The mail of `template` with `values` put in once; a value is never looked into for more."""
    plain = {name: one_line(value or "") for name, value in values.items()}

    def fill(part: str) -> str:
        return PLACEHOLDER.sub(lambda found: plain.get(found[1], found[0]), part)

    return Letter(one_line(fill(template.subject)), fill(template.text))
