"""Any changes of addresses with a custom identifier: compared with a plain model, and what always holds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.model import ImportState
from tests.support.chosen import random_cases
from tests.support.importing import Company, passing_folder, sheet
from tests.support.installation import company_in

BY_NUMBER: dict[str, Any] = {
    "identifier": "employee_id",
    "custom_fields": ({"key": "employee_id"},),
    "max_deactivations_percent": 100,
    "detect_truncation": False,
}
NUMBERS = ("e1", "e2", "e3", "e4", "e5")
ADDRESSES = ("a@e.com", "b@e.com", "c@e.com", "d@e.com", "e@e.com")
HEADER = ("employee_id", "first_name", "last_name", "email", "deactivate")
Row = tuple[str, str, str, str, str]
quick = settings(max_examples=random_cases(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class User:
    name: str
    email: str | None
    active: bool = True


@dataclass
class Model:
    """A model of users by employee number, without leavers."""

    users: dict[str, User] = field(default_factory=dict)
    rejected: int = 0

    def apply(self, rows: list[Row], *, missing: bool) -> None:
        accepted = {row[0]: row for row in reversed(rows)}
        accepted = {row[0]: row for row in rows if accepted[row[0]] is row}
        for number, user in self.users.items():
            user.active = user.active and (number in accepted or not missing)
        refused: set[str] = set()
        while loser := self._loser({number: row[3] for number, row in accepted.items() if number not in refused}):
            refused.add(loser)
        self.rejected = len(rows) - len(accepted) + len(refused)
        for number in refused:
            del accepted[number]
        taken = {row[3] for row in accepted.values()}
        for number, user in self.users.items():
            if number not in accepted and user.email in taken:
                assert not user.active
                user.email = None
        for number, (_, name, _, email, _) in accepted.items():
            self.users[number] = User(name, email)

    def _loser(self, wishes: dict[str, str]) -> str | None:
        """Return a user who cannot have the address of their row now; None if all can."""
        holders: dict[str | None, str] = {}
        changing = []
        for number, user in self.users.items():
            if (number in wishes and wishes[number] == user.email) or (number not in wishes and user.active):
                holders[user.email] = number
        changing = [number for number, email in wishes.items() if holders.get(email) != number]
        return next((each for each in changing if holders.setdefault(wishes[each], each) != each), None)


def rows_of(leaves: tuple[str, ...] = ("",)) -> st.SearchStrategy[list[Row]]:
    parts = (NUMBERS, ("A", "B"), ("S",), ADDRESSES, leaves)
    return st.lists(st.tuples(*map(st.sampled_from, parts)), min_size=1, max_size=7)


batches = st.sampled_from([1, 2, 2000])


async def users_of(company: Company) -> dict[str, User]:
    rows = await company.sql("SELECT external_id, first_name, email, state FROM users WHERE known = true")
    return {row[0]: User(row[1], row[2], row[3] == "active") for row in rows}


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


@quick
@given(st.lists(st.tuples(rows_of(), st.booleans()), min_size=1, max_size=4), batches)
def test_the_users_equal_a_plain_model_after_any_moves_of_addresses(
    steps: list[tuple[list[Row], bool]], batch_rows: int
) -> None:
    async def scenario() -> None:
        with passing_folder() as folder:
            company, model = company_in(Path(folder), batch_rows), Model()
            for rows, missing in steps:
                before = {number: User(user.name, user.email, user.active) for number, user in model.users.items()}
                model.apply(rows, missing=missing)
                outcome = await company.run(sheet(*rows, header=HEADER), deactivate_missing=missing, **BY_NUMBER)
                if outcome.state is ImportState.FAILED:
                    model.users = before
                assert (outcome.counts.rejected, outcome.counts.rows) == (model.rejected, len(rows))
                assert await users_of(company) == model.users

    run(scenario())


@quick
@given(st.lists(st.tuples(rows_of(("", "", "1")), st.booleans()), min_size=1, max_size=4), batches)
def test_with_leavers_too_every_user_matches_their_row_or_is_reported(
    steps: list[tuple[list[Row], bool]], batch_rows: int
) -> None:
    async def scenario() -> None:
        with passing_folder() as folder:
            company = company_in(Path(folder), batch_rows)
            done = []
            for rows, missing in steps:
                content = sheet(*rows, header=HEADER)
                before = await users_of(company) if company.imports else {}
                tried = await company.run(content, deactivate_missing=missing, dry_run=True, **BY_NUMBER)
                outcome = await company.run(content, deactivate_missing=missing, **BY_NUMBER)
                assert (tried.state, tried.counts, tried.messages) == (
                    outcome.state,
                    outcome.counts,
                    outcome.messages,
                )
                assert outcome.counts.rows == len(rows)
                assert "internal_error" not in {problem.code for problem in outcome.messages}
                after = await users_of(company)
                if outcome.state is ImportState.FAILED:
                    assert after == before
                    continue
                wrong = {problem.line for problem in outcome.messages if problem.line}
                for line, (number, name, _, email, leaves) in enumerate(rows, 2):
                    if leaves and line not in wrong:
                        assert not after[number].active
                    elif not leaves and line not in wrong:
                        assert after[number] == User(name, email)
                for number in before:
                    named = [row for row in rows if row[0] == number]
                    if named and all(row[4] for row in named):  # a leaver is always deactivated
                        assert not after[number].active
                    if any(not row[4] for row in named) and before[number].active:
                        assert after[number].active  # a user on another row too is not deactivated
                if outcome.counts.changed:
                    done.append((company.imports, before))
            for number_, users in reversed(done):
                undone = await company.undo(number_, **BY_NUMBER)
                assert "changed_since" not in {problem.code for problem in undone.messages}
                assert await users_of(company) == users

    run(scenario())
