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


def built_in(public_url: str | None) -> InvitationTemplate:
    """Return `BUILT_IN`, with a link if the operator has set the address of the page."""
    if public_url is None:
        return BUILT_IN
    return InvitationTemplate(subject=BUILT_IN.subject, text=f"{BUILT_IN.text}\nOpen it: {public_url}\n")


def choose(
    templates: Mapping[str, InvitationTemplate], language: str, public_url: str | None = None
) -> InvitationTemplate:
    """Return the template in `language`, else in that language without a region (`pt` for `pt-BR`), else in `en`.

    Without any of them, return that which is built in.
    """
    for wanted in (language, language.partition("-")[0], "en"):
        if wanted in templates:
            return templates[wanted]
    return built_in(public_url)


def write(template: InvitationTemplate, values: Mapping[str, str | None]) -> Letter:
    """Return the mail: `template` with `values`. Names in braces inside a value are not replaced."""
    plain = {name: one_line(value or "") for name, value in values.items()}

    def fill(part: str) -> str:
        return PLACEHOLDER.sub(lambda found: plain.get(found[1], found[0]), part)

    return Letter(one_line(fill(template.subject)), fill(template.text))
