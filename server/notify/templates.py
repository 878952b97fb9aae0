"""Fills the template of an invitation: plain replacement of names such as `{first_name}`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from importer.file.letters import one_line
from server.notify.layout import Letter
from server.tenants.invitation_template import PLACEHOLDER, InvitationTemplate

BUILT_IN = InvitationTemplate(
    subject="Welcome, {first_name}",
    text="Hello {first_name} {last_name},\n\nYour account at {tenant} was created with the email address {email}.\n",
)
"""The template of tenants that have none."""


def choose(templates: Mapping[str, InvitationTemplate], language: str) -> InvitationTemplate:
    """Return the template in `language`, else in that language without a region (`pt` for `pt-BR`), else in `en`.

    Without any of them, return `BUILT_IN`.
    """
    for wanted in (language, language.partition("-")[0], "en"):
        if wanted in templates:
            return templates[wanted]
    return BUILT_IN


def write(template: InvitationTemplate, values: Mapping[str, str | None]) -> Letter:
    """Return the mail: `template` with `values`. Names in braces inside a value are not replaced."""
    plain = {name: one_line(value or "") for name, value in values.items()}

    def fill(part: str) -> str:
        return PLACEHOLDER.sub(lambda found: plain.get(found[1], found[0]), part)

    return Letter(one_line(fill(template.subject)), fill(template.text))
