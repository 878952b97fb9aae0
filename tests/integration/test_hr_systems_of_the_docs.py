"""The examples of docs/from-your-hr-system.md: each file, with its settings, gives the users it describes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from importer.file.leavers import tells_beside
from importer.file.synonyms import MANAGERS_NUMBERS, NUMBERS, SYNONYMS, plain
from importer.model import ImportState, Severity
from server.tenants.settings import TenantSettings, changed
from server.tenants.settings_toml import from_toml
from tests.support import ROOT
from tests.support.importing import sheet
from tests.support.installation import company_in

PAGE = (ROOT / "docs" / "from-your-hr-system.md").read_text(encoding="utf-8")
SYSTEMS = ("Workday", "BambooHR", "ADP", "SAP SuccessFactors", "Personio", "HiBob")
ANN = {
    "first_name": "Ann",
    "last_name": "Lee",
    "job_title": "Head of Sales",
    "manager": None,
    "hire_date": "2019-04-01",
}
BO = {"first_name": "Bo", "last_name": "Ng", "job_title": "Engineer", "state": "active"}
HIRED = {"Workday": "2021-05-03"}
TEAMS = {"Workday": (None, None)}
LOCATIONS = {
    "Workday": ("Berlin", "London"),
    "BambooHR": ("Lindon", "Remote"),
    "ADP": ("Roseland", "Atlanta"),
    "SAP SuccessFactors": ("Walldorf", "Newtown Square"),
    "Personio": ("Munich", "Berlin"),
    "HiBob": ("London", "Lisbon"),
}


def example(system: str) -> tuple[str, dict[str, Any]]:
    """Return the file of the example, and the settings that it needs."""
    section = PAGE.split(f"\n## {system}\n")[1].split("\n## ")[0]
    text, toml = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)[0] for kind in ("csv", "toml"))
    settings = from_toml(toml)
    changed(TenantSettings(), settings)
    return text, dict(settings)


def seeded(text: str, settings: dict[str, Any]) -> bytes:
    """Return the three users of the file, by identifier."""
    identifier = settings.get("identifier", "email")
    people = [("Ann", "Lee", "ann.lee@example.com"), ("Bo", "Ng", "bo.ng@example.com")]
    people.append(("Cy", "Olsen", "cy.olsen@example.com"))
    if identifier == "email":
        return sheet(*people)
    column = next(theirs for theirs, ours in settings["field_mapping"].items() if ours == identifier)
    lines = [line.split(",") for line in text.splitlines()[settings.get("skip_first_lines", 0) :]]
    at = lines[0].index(column)
    rows = [(*person, line[at]) for person, line in zip(people, lines[1:], strict=True)]
    return sheet(*rows, header=("first_name", "last_name", "email", identifier))


@pytest.mark.parametrize("system", SYSTEMS)
async def test_the_example_is_read_to_the_right_users(system: str, tmp_path: Path) -> None:
    text, settings = example(system)
    company = company_in(tmp_path)
    plain_settings = {name: settings[name] for name in ("identifier", "custom_fields") if name in settings}
    await company.run(seeded(text, settings), **plain_settings)

    outcome = await company.run(text.encode(), **settings)

    assert (outcome.state, outcome.counts.rejected, outcome.counts.created) == (ImportState.COMPLETED, 0, 0)
    assert [problem for problem in outcome.messages if problem.severity is not Severity.NOTICE] == []
    users = await company.users()
    ann, bo, cy = (users[f"{name}@example.com"] for name in ("ann.lee", "bo.ng", "cy.olsen"))
    assert ann.items() >= (ANN | {"location": LOCATIONS[system][0]}).items()
    assert bo.items() >= (BO | {"location": LOCATIONS[system][1]}).items()
    assert bo["hire_date"] == HIRED.get(system, "2021-05-13")
    assert bo["manager"] == ann["email"]
    assert (ann["primary_team"], bo["primary_team"]) == TEAMS.get(system, ("Sales", "Engineering"))
    assert (ann["state"], cy["state"]) == ("active", "deactivated")


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_column_of_the_example_is_mapped_and_known(system: str) -> None:
    text, settings = example(system)
    header = text.splitlines()[settings.get("skip_first_lines", 0)].split(settings.get("delimiter", ","))
    assert list(settings["field_mapping"]) == header
    known = {word for words in (*SYNONYMS.values(), NUMBERS, MANAGERS_NUMBERS) for word in words}
    meant = [theirs for theirs, ours in settings["field_mapping"].items() if ours and ours != "cost_center"]
    assert [theirs for theirs in meant if plain(theirs) not in known and not tells_beside([theirs])[0]] == []


def test_every_hr_system_of_the_page_is_tested() -> None:
    assert tuple(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))[:-1] == SYSTEMS
