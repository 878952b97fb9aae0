"""Whether the outcome with other settings is as good as without them.  Pure.

Nothing is offered with which more rows are rejected or ignored, users who have left by the file are active, or users
are deactivated by misreading. A leaver's row that is ignored, or deactivates its user, is no loss where the column
was unread before.
"""

from __future__ import annotations

from dataclasses import dataclass

from importer.model import Counts, GuardReason, ImportState, Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """What a file came to under some settings; `unread` leavers are active by a column that is not read."""

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


def is_no_worse(after: Result, before: Result) -> bool:
    """Whether the outcome `after`, with other settings, can be offered instead of `before`."""
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
    """Whether another identifier finds the users that the one of now finds: none is created or brought back instead.

    `without` is the outcome on the same users with all else that is changed, `after` that with the identifier.
    """
    taken = max(0, without.counts.rejected - after.counts.rejected)
    return is_no_worse(after, without) and _newcomers(after) <= _newcomers(without) + taken


def _newcomers(result: Result) -> int:
    return result.counts.created + result.counts.reactivated


def is_better_without(less: Result, all_: Result, before: Result) -> bool:
    """Whether leaving a part out improves the outcome from `all_` to `less`."""
    if less.failed != all_.failed:
        return all_.failed
    fits, fitted = is_no_worse(less, before), is_no_worse(all_, before)
    if fits != fitted:
        # A column that cannot be read any more tells of no leaver: what rejects users to come to that is not better.
        return fits and not (before.failed and less.counts.rejected > all_.counts.rejected)
    if fits:
        return less.unread <= all_.unread and less.counts.rejected < all_.counts.rejected
    return (less.unread, less.counts.rejected) < (all_.unread, all_.counts.rejected)
