"""The numbers, commands, settings and metrics in docs/postgresql.md are those of the code."""

from __future__ import annotations

import re

import click
import pytest

from engine.postgres.connecting import OLDEST
from engine.postgres.database import LOCK_S
from engine.postgres.examining import LONG_S
from engine.postgres.files.cache import MOST_BYTES
from engine.postgres.pool import IDLE_S
from engine.postgres.pulse import BEAT_S
from engine.postgres.server.node import FROZEN_S, NAME
from engine.postgres.store import READERS_CONNECTIONS, SERVERS_CONNECTIONS
from engine.postgres.together import ASKED_S
from engine.shared.files import CHUNK
from ground.moments import CLOCKS_S
from importer.worker.worker import AT_ONCE
from server.cli import cli
from server.doctor.database import FEW, LOST
from server.settings import ServerSettings
from server.sftp.connection import PATIENCE_S
from server.tenants.shared.home import KEPT_DAYS
from server.upkeep.metrics import Metrics
from server.upkeep.orphans import LOOK_S
from server.upkeep.orphans import PATIENCE_S as TAKEN_UP_S
from tests.support import ROOT
from tests.support.remote_postgres import RULES
from tests.support.steps import section
from tests.unit.docs.test_events_docs import logged

PAGE = " ".join((ROOT / "docs" / "postgresql.md").read_text(encoding="utf-8").split())
CONNECTIONS = section((ROOT / "docs" / "postgresql.md").read_text(encoding="utf-8"), "Connections")
TAKEN_UP_IN, GONE_AFTER = {2: "two"}[round(LOOK_S + TAKEN_UP_S)], {6: "six"}[round(FROZEN_S)]


@pytest.mark.parametrize(
    "text",
    [
        f"It must be version {OLDEST} or newer",
        f"those that it read before take at most {MOST_BYTES // 1024**3} GiB",
        f"takes up its imports, runs and interrupted uploads within about {TAKEN_UP_IN} seconds",
        f"is taken for gone after {GONE_AFTER} seconds",
        f"Headcount limits waits for locks ({LOCK_S:.0f} seconds)",
        f"After {PATIENCE_S:.0f} seconds they end",
        f"if PostgreSQL does not answer that within {ASKED_S:.0f} seconds",
        f"the connection `{NAME}` of each server",
        f"Fewer than {FEW} are free",
        f"in parts of {CHUNK // 1024} KiB",
        f"are deleted after {KEPT_DAYS} days",
    ],
)
def test_the_page_says_what_the_code_does(text: str) -> None:
    assert text in PAGE


def test_the_page_has_the_times_that_it_spells() -> None:
    assert (IDLE_S, "nothing has used for a minute" in PAGE) == (60, True)
    assert (1 / BEAT_S, "can be used, twice a second" in PAGE) == (2, True)
    assert (LONG_S, "has been open for an hour" in PAGE) == (3600, True)
    assert (CLOCKS_S, "differs by more than a minute" in PAGE) == (60, True)


def test_the_page_lets_in_the_databases_that_its_commands_use() -> None:
    databases, user = RULES.splitlines()[1].split()[1:3]
    assert f"hostssl {databases} {user} " in PAGE


def test_the_page_names_the_settings_that_the_doctor_demands() -> None:
    assert f"{', '.join(f'`{name}`' for name in [*LOST][:-1])} and `{[*LOST][-1]}`" in PAGE


def test_the_page_counts_the_connections_of_a_server() -> None:
    counts = [int(row) for row in re.findall(r"^\| (\d+)(?: at most)? \|", CONNECTIONS, re.MULTILINE)]
    assert counts == [SERVERS_CONNECTIONS, READERS_CONNECTIONS, 1, 1, 1, AT_ONCE]
    assert f"Together these are {sum(counts)}." in PAGE


def test_every_name_on_the_page_is_in_the_code() -> None:
    families = set(re.findall(r"^# TYPE (headcount_\w+) ", Metrics().render().decode(), re.MULTILINE))
    assert set(re.findall(r"`(headcount_\w+)`", PAGE)) <= families
    settings = set(re.findall(r"\bHEADCOUNT_([A-Z_]+)", PAGE))
    assert {name.lower() for name in settings} <= ServerSettings.model_fields.keys()
    events = set(re.findall(r"log (?:then )?has (?:no )?`(\w+)`", PAGE))
    assert events
    assert events <= logged()


def test_every_command_on_the_page_is_a_command() -> None:
    found = re.findall(r"(?:`|as_headcount )headcount ([a-z]+)(?: ([a-z]+))?", PAGE.replace(f"`{NAME}`", ""))
    assert len(found) > 5
    for noun, verb in found:
        group = cli.get_command(click.Context(cli), noun)
        assert group, noun
        assert not isinstance(group, click.Group) or verb in group.commands, (noun, verb)
