"""Compare the outcome with other settings to the outcome without them.  Pure.

Settings are not suggested if with them more rows are rejected or ignored, users who have left by the file are active,
or misread cells deactivate users. If the column of leavers was not read before, a leaver who is now ignored or
deactivated does not count as worse.
"""

from __future__ import annotations

from dataclasses import dataclass

from importer.model import Counts, GuardReason, ImportState, Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a file under some settings. `unread`: leavers who are active because a column is not read."""

    state: ImportState
    counts: Counts
    unread: int = 0
    renamed: bool = False

    @property
    def failed(self) -> bool:
        return self.state is ImportState.FAILED

    @property
    def left_by_file(self) -> int:
        return self.counts.deactivated - self.counts.deactivated_absent


def result_of(outcome: Outcome) -> Result:
    reasons = outcome.guard.reasons if outcome.guard else ()
    return Result(outcome.state, outcome.counts, outcome.unread, GuardReason.IDENTIFIERS_CHANGED in reasons)


def is_as_good(after: Result, before: Result) -> bool:
    """Return whether the result `after`, with other settings, can be suggested instead of `before`."""
    if after.failed:
        return False
    if after.renamed and not before.renamed:
        return False
    if before.failed:
        return not after.unread
    ours, theirs = after.counts, before.counts
    read = max(0, before.unread - after.unread)
    taken = max(0, theirs.rejected - ours.rejected)
    return (
        after.unread <= before.unread
        and ours.rejected <= theirs.rejected
        and ours.rejected + ours.ignored <= theirs.rejected + theirs.ignored + read
        and ours.deactivated_absent <= theirs.deactivated_absent
        and after.left_by_file <= before.left_by_file + read + taken
    )


def finds_the_same_users(after: Result, without: Result) -> bool:
    """Return whether another identifier finds the users that today's finds: it creates or reactivates none instead.

    `after` is the result with all changes, `without` the result with all changes but the identifier.
    """
    taken = max(0, without.counts.rejected - after.counts.rejected)
    return is_as_good(after, without) and _newcomers(after) <= _newcomers(without) + taken


def _newcomers(result: Result) -> int:
    return result.counts.created + result.counts.reactivated


def is_better_without(less: Result, all_: Result, before: Result) -> bool:
    """Return whether leaving a part out improves the result from `all_` to `less`."""
    if less.failed != all_.failed:
        return all_.failed
    fits, fitted = is_as_good(less, before), is_as_good(all_, before)
    if fits != fitted:
        # Without the part a column of leavers may be unread: rejecting more users for that is not better.
        return fits and not (before.failed and less.counts.rejected > all_.counts.rejected)
    if fits:
        return less.unread <= all_.unread and less.counts.rejected < all_.counts.rejected
    return (less.unread, less.counts.rejected) < (all_.unread, all_.counts.rejected)
