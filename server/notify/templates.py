"""Templates of invitations: plain substitution of `{first_name}` and the like, never a language. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, field_validator

from server.notify.letters import Letter, one_line

PLACEHOLDERS = ("first_name", "last_name", "email", "job_title", "hire_date", "tenant")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
MAX_TEXT = 20_000


class InvitationTemplate(BaseModel):
    """The subject and text of an invitation in one language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    text: str

    @field_validator("subject", "text")
    @classmethod
    def _known_placeholders(cls, given: str) -> str:
        if not given.strip() or len(given) > MAX_TEXT:
            raise ValueError(f"must not be blank, nor longer than {MAX_TEXT:,} characters")
        unknown = [name for name in _PLACEHOLDER.findall(given) if name not in PLACEHOLDERS]
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"has {{{unknown[0]}}}, which stands for nothing; there are {known}")
        return given

    @field_validator("subject")
    @classmethod
    def _one_line(cls, given: str) -> str:
        if one_line(given) != given.strip():
            raise ValueError("must be one line")
        return given.strip()


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
        return _PLACEHOLDER.sub(lambda found: plain.get(found[1], found[0]), part)

    return Letter(one_line(fill(template.subject)), fill(template.text))
