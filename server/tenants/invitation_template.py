"""The template of an invitation: a subject and a text with placeholders, and no template language. Pure."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, field_validator

from importer.file.letters import one_line

PLACEHOLDERS = ("first_name", "last_name", "email", "job_title", "hire_date", "tenant")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
MAX_TEXT = 20_000


class InvitationTemplate(BaseModel):
    """The subject and text of an invitation in one language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    text: str

    @property
    def has_link(self) -> bool:
        """Whether the text has the address of a page."""
        return "https://" in self.text or "http://" in self.text

    @field_validator("subject", "text")
    @classmethod
    def _known_placeholders(cls, given: str) -> str:
        if not given.strip() or len(given) > MAX_TEXT:
            raise ValueError(f"must have 1 to {MAX_TEXT:,} characters and not be blank")
        unknown = [name for name in PLACEHOLDER.findall(given) if name not in PLACEHOLDERS]
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"has the unknown name {{{unknown[0]}}}. Use one of {known}")
        return given

    @field_validator("subject")
    @classmethod
    def _one_line(cls, given: str) -> str:
        if one_line(given) != given.strip():
            raise ValueError("must be one line")
        return given.strip()
