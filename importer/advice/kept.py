"""What is proposed for a file that failed, kept beside its messages: other settings that may fit it better.

It is made when the import ends, because the copy of a dry run is not there for longer; a person looks at it later.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from importer.advice.proposal import SAMPLE_BYTES, Proposal, propose
from importer.rules.settings import ImportSettings


def keep_proposal(file: Path, kept: Path, settings: ImportSettings) -> None:
    """What `propose` has to say of `file` is at `kept`, if it proposes anything and the disk lets it; blocks.

    Where none of the columns that must be there can be found, it is no list of people, however it is read.
    """
    with suppress(OSError):
        with file.open("rb") as opened:
            content = opened.read(SAMPLE_BYTES)
            whole = os.fstat(opened.fileno()).st_size <= SAMPLE_BYTES
        proposal = propose(content, settings, whole=whole)
        if proposal.changes and len(proposal.gaps) < len(settings.names.required):
            new = kept.with_name(f".{kept.name}.new")
            new.write_text(json.dumps(asdict(proposal)), encoding="utf-8")
            new.replace(kept)


def kept_proposal(kept: Path) -> Proposal | None:
    """What `keep_proposal` left there; blocks."""
    try:
        return Proposal(**json.loads(kept.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
