"""What one tenant may choose about its imports, with the safe defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[float, Field(ge=0, le=100)]


class ImportSettings(BaseModel):
    """The settings of one tenant that the importer obeys. Frozen: an import runs with one set from end to end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identifier: Literal["email"] = "email"
    deactivate_missing: bool = False
    reactivate_returning: bool = True
    blank_cells: Literal["clear", "keep"] = "clear"
    max_deactivations_percent: Percent = 10
    max_deactivations_min: Annotated[int, Field(ge=0)] = 5
    max_creations_percent: Percent | None = None
    max_updates_percent: Percent | None = None
    max_row_drop_percent: Percent = 20
    require_final_newline: bool = True
    detect_truncation: bool = True
