"""Properties of generated files, in any order, checked against a small model in plain dictionaries."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.model import ImportState, Outcome, Problem
from tests.support.chosen import random_cases
from tests.support.importing import Company, passing_folder, sheet
from tests.support.installation import company_in
from tests.support.reference import Model, Row

PEOPLE = [f"{name}@example.com" for name in ("ann", "ben", "cleo", "dora", "eve", "finn")]
TRUSTING: dict[str, Any] = {
    "max_deactivations_percent": 100,
    "detect_truncation": False,
    "custom_fields": [{"key": "floor", "type": "number"}, {"key": "desk"}],
    "value_mapping": {"desk": {"none": ""}},
    "field_mapping": {"active": "active"},
}
OPTIONAL = {
    "job_title": ("", "Baker", "Boss", "-", "#N/A"),
    "role": ("", "hr", "king", "#REF!"),
    "primary_team": ("", "Ops", "Sales", "NULL"),
    "secondary_team": ("", "Ops", "Sales,Ops", "Care,Sales", "#N/A"),
    "manager": ("", *PEOPLE, "nobody@example.com", "#N/A"),
    "deactivate": ("", "1", "#N/A"),
    "active": ("", "yes", "yes", "no"),
    "leave_date": ("", "2020-01-31", "2026-01-10", "2030-01-31", "soon", "#N/A"),
    "hire_date": ("", "2019-01-01", "2021-01-01", "#REF!"),
    "End Date": ("", "2020-01-31", "2026-01-10", "2030-01-31"),
    "floor": ("", "1", "1.0", "2", "two", "#REF!"),
    "desk": ("", "none", "D1", "NULL", '="x"'),
}
quick = settings(max_examples=random_cases(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


batches = st.sampled_from([1, 2, 2000])


@st.composite
def files(draw: st.DrawFn, *, unique: bool = False) -> list[Row]:
    """Generate the rows of a file: some columns, some users, in any order."""
    columns = draw(st.lists(st.sampled_from(sorted(OPTIONAL)), unique=True))
    who = draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=8, unique=unique))
    return [
        {
            "first_name": draw(st.sampled_from(["A", "B", "C", "", "#N/A"] if not unique else ["A", "B"])),
            "last_name": "Smith",
            "email": address,
            **{column: draw(st.sampled_from(OPTIONAL[column])) for column in columns},
        }
        for address in who
    ]


def written(rows: list[Row]) -> bytes:
    return sheet(*[tuple(row.values()) for row in rows], header=tuple(rows[0]))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def compare(company: Company, model: Model) -> None:
    users = await company.users()
    assert users.keys() == model.users.keys()
    for address, expected in model.users.items():
        assert {name: users[address][name] for name in expected} == expected


def counted(outcome: Outcome) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the first line and the number of cells of each warning about a column, by code and column."""
    found = {}
    for said in outcome.messages:
        number = re.match(r"\w+: (\d+) cells? holds? ", said.message)
        if number:
            found[said.code, said.column or ""] = said.line or 0, int(number[1])
    return found


def kept_active(outcome: Outcome) -> int:
    """Return the number of active users who have left by a column that is not read."""
    found = [re.match("Column “End Date” says that (\\d+) user", said.message) for said in outcome.messages]
    return sum(int(each[1]) for each in found if each)


def but_for_the_header(outcome: Outcome) -> list[Problem]:
    """Return the messages without those about the header, which a dry run repeats each time."""
    return [said for said in outcome.messages if said.code != "unknown_column"]


@quick
@given(
    st.lists(st.tuples(files(), st.sampled_from([0, 0, 9, 20]), *[st.booleans()] * 5), min_size=1, max_size=5),
    batches,
)
def test_the_users_equal_a_plain_model_after_any_imports(
    steps: list[tuple[list[Row], int, bool, bool, bool, bool, bool]], batch_rows: int
) -> None:
    async def scenario() -> None:
        now, last = datetime(2026, 1, 1, 12, tzinfo=UTC), steps[0][0]
        with passing_folder() as folder:
            company, model = company_in(Path(folder), batch_rows), Model()
            for sent, days, missing, returning, keep, tried_first, same in steps:
                last = rows = last if same else sent
                now += timedelta(days=days, seconds=1)
                chosen: dict[str, Any] = {
                    "deactivate_missing": missing,
                    "reactivate_returning": returning,
                    "blank_cells": "keep" if keep else "clear",
                    **TRUSTING,
                }
                tried = await company.run(written(rows), dry_run=True, now=now, **chosen) if tried_first else None
                before = {address: dict(user) for address, user in model.users.items()}
                past = now.date().isoformat()
                model.apply(
                    rows, past=past, deactivate_missing=missing, reactivate_returning=returning, keep_blanks=keep
                )
                outcome = await company.run(written(rows), now=now, **chosen)
                if tried:
                    assert tried.state == outcome.state
                    assert replace(tried.counts, warnings=0) == replace(outcome.counts, warnings=0)
                    assert but_for_the_header(tried) == but_for_the_header(outcome)
                if outcome.state is ImportState.FAILED:  # every row was rejected
                    model.users = before
                else:
                    assert {name: getattr(outcome.counts, name) for name in model.counts} == model.counts
                    assert counted(outcome) == {key: (lines[0], len(lines)) for key, lines in model.said.items()}
                    assert kept_active(outcome) == model.unread
                    active = [user for user in model.users.values() if user["state"] == "active"]
                    assert outcome.active == len(active)
                assert outcome.counts.rows == len(rows) == outcome.file.rows
                await compare(company, model)

    run(scenario())


@quick
@given(files(), files(), st.booleans(), batches)
def test_any_file_reconciled_twice_is_unchanged_the_second_time(
    first: list[Row], second: list[Row], missing: bool, batch_rows: int
) -> None:
    async def scenario() -> None:
        with passing_folder() as folder:
            company = company_in(Path(folder), batch_rows)
            await company.run(written(first), **TRUSTING)
            await company.run(written(second), deactivate_missing=missing, **TRUSTING)
            users, history = await company.users(), await company.sql("SELECT * FROM changes")
            again = await company.run(written(second), deactivate_missing=missing, **TRUSTING)
            assert again.counts.changed == 0
            assert await company.users() == users
            assert await company.sql("SELECT * FROM changes") == history

    run(scenario())


@quick
@given(st.lists(st.tuples(files(), st.booleans()), min_size=1, max_size=4))
def test_the_size_of_batches_makes_no_difference(steps: list[tuple[list[Row], bool]]) -> None:
    async def scenario() -> None:
        found = []
        for batch_rows in (1, 2, 3, 2000):
            with passing_folder() as folder:
                company, said = company_in(Path(folder), batch_rows), []
                for rows, missing in steps:
                    outcome = await company.run(written(rows), deactivate_missing=missing, **TRUSTING)
                    messages = [(each.line or 0, each.code, each.message) for each in outcome.messages]
                    said.append((outcome.state, outcome.counts, sorted(messages)))
                users = {name: {**user, "id": 0} for name, user in (await company.users()).items()}
                history = await company.sql(
                    "SELECT c.import_id, u.email, c.field, count(*) FROM changes AS c JOIN users AS u"
                    " ON u.id BETWEEN c.user_id - c.more AND c.user_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
                )
                found.append((said, users, history))
        assert all(each == found[0] for each in found)

    run(scenario())


@quick
@given(files(unique=True), files(unique=True), st.randoms(use_true_random=False), batches)
def test_rows_in_any_order_give_the_same_users(
    first: list[Row], second: list[Row], order: random.Random, batch_rows: int
) -> None:
    async def scenario() -> None:
        with passing_folder() as one, passing_folder() as other:
            companies = company_in(Path(one)), company_in(Path(other), batch_rows)
            for rows in (first, second):
                shuffled = order.sample(rows, len(rows))
                outcomes = [
                    await company.run(written(content), **TRUSTING)
                    for company, content in zip(companies, (rows, shuffled), strict=True)
                ]
                assert outcomes[0].counts == outcomes[1].counts
            assert await companies[0].users() == await companies[1].users()

    run(scenario())
