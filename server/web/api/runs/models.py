"""The runs of hooks in the answers of the API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from server.web.api.models import Count, Message, Moment, Next

RunState = Literal["queued", "running", "completed", "completed_with_errors", "failed", "aborted", "ignored"]


class RunFile(BaseModel):
    """The file that was uploaded."""

    name: str = Field(examples=["march.csv"])
    size: Count = Field(description="In bytes.", examples=[18273])
    sha256: str | None = Field(description="Null until the server has read the file.", examples=["5f2b8c0d" * 8])


class Run(BaseModel):
    """One run of a hook: its report."""

    id: int = Field(ge=1, description="Counted per tenant, from 1.", examples=[7])
    hook: str = Field(description="The name of the hook.", examples=["invoices"])
    path: str = Field(description="Where the file was uploaded.", examples=["/invoices/march.csv"])
    state: RunState = Field(examples=["completed"])
    attempt: Count = Field(description="The number of attempts so far.", examples=[1])
    file: RunFile
    uploaded_at: Moment
    started_at: Moment | None = Field(description="When the newest attempt started; null: none runs, none has ended.")
    finished_at: Moment | None
    message: str | None = Field(
        description="The sentence of the hook, or why the run waits, failed or was refused.",
        examples=["12 invoices read."],
    )
    counts: dict[str, int] = Field(description="The counts of the hook, by name.", examples=[{"invoices": 12}])
    messages: list[Message] = Field(description="The messages of the hook; their codes are the hook's own.")


class Runs(BaseModel):
    """Newest first."""

    runs: list[Run]
    next: Next
