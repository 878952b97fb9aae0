"""The words of the pages that are said in more than one place. Pure."""

from __future__ import annotations

from importer.model import ImportState

STATES = {
    ImportState.ARRIVING: "Arriving",
    ImportState.QUEUED: "Waiting",
    ImportState.RUNNING: "Running",
    ImportState.COMPLETED: "Completed",
    ImportState.COMPLETED_WITH_ERRORS: "Completed, with rejected rows",
    ImportState.UNCHANGED: "Nothing to change",
    ImportState.HELD: "Held: needs a decision",
    ImportState.DISCARDED: "Discarded",
    ImportState.FAILED: "Failed",
    ImportState.SUPERSEDED: "Replaced by a newer file",
    ImportState.UNDONE: "Undone",
    ImportState.ABORTED: "Upload broke off",
    ImportState.IGNORED: "Ignored: wrong name",
}
"""What a person calls the states of an import."""

NOTICES = {
    "signed-out": "You are signed out.",
}
"""What is said at the top of the page that follows something done."""
