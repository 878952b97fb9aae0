"""Settings of every test run: its engine, examples of properties, required log events, and missing clients."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import ROOT
from tests.support.chosen import EMBEDDED, VARIABLE, chosen_engine
from tests.support.clients import MISSING, NO_MOUNTS
from tests.support.disks import stand_apart
from tests.support.postgres_server import begin_run


def _nothing_may_be_skipped() -> bool:
    return os.environ.get("NO_SKIPS", "") not in ("", "0")


# No deadline: a slow machine must not fail a test. CI uses the same examples each time, so that its result depends
# only on the code; other runs use new examples.
hypothesis.settings.register_profile("everywhere", deadline=None, derandomize=_nothing_may_be_skipped())
hypothesis.settings.load_profile("everywhere")


ONLY_IF_NAMED = [ROOT / "tests" / "container"]
"""These tests download a Debian, and take minutes: `make container` runs them, `make test` does not."""

WITHOUT_A_CHOICE = [
    *(
        "unit",
        "contract",
        "integration/cli/test_completion.py",
        "integration/cli/test_own_packages.py",
        "integration/cli/test_serve.py",
        "integration/files",
        "integration/ground",
        "integration/keys",
        "integration/notify/test_mail.py",
        "integration/notify/test_webhooks.py",
        "integration/postgres",
        "integration/s3",
        "integration/runs/test_testing.py",
        "integration/runs/test_url_hooks.py",
        "integration/test_apart.py",
        "integration/web/test_malformed_http.py",
        "integration/web/test_web.py",
        "integration/web/test_web_listener.py",
    ),
    *(f"integration/runs/test_{each}.py" for each in ("calling", "commands", "hooks_file", "misbehaving_hooks")),
    *("integration/test_disks.py", "integration/test_every_message.py", "integration/test_missing_clients.py"),
    *("integration/test_wheel.py", "system/test_compose.py", "system/test_demo.py", "system/test_dist.py"),
    *("system/test_hooks_docs.py", "system/test_in_production.py", "system/test_keys_in_a_database.py"),
    *("system/test_landing_kills.py", "system/test_machine.py", "system/test_postgresql_docs.py"),
    *(f"system/test_nodes{each}.py" for each in ("", "_agreeing", "_behind_haproxy", "_racing")),
    "system/test_serving_from_a_database.py",
    *("system/test_soak.py", "system/test_supply.py", "system/test_units.py"),
    "system/test_files_in_s3.py",
    "system/test_proxies.py",
    # The advice on a file; the rights of each role; what pages and the API say around the values that they show.
    *(f"integration/advice/test_{each}.py" for each in ("exports", "followed", "identifier")),
    *(
        f"integration/web/test_{each}.py"
        for each in ("api_form", "fitting_settings", "help_pages", "page_wording", "problem_pages", "rights")
    ),
    "integration/web/test_settings_examples.py",
    "integration/sftp/test_balancers.py",
    # The answers to malformed packets and requests, and to crowds of connections; the words of the API and of alerts.
    *(f"integration/sftp/test_sftp_{each}.py" for each in ("malformed", "wrong_packets")),
    *(f"system/test_{each}.py" for each in ("alerts", "api_document", "malformed_http", "nursery", "web_crowd")),
    # How pages, mails and the terminal look, and how they are used by keyboard and in a browser. test_journey.py and
    # test_files.py of system/browser are not here: they show that pages and events of each engine reach a browser.
    *(
        "integration/cli/test_cli_tables.py",
        "system/test_browser.py",
        "system/test_help.py",
        "system/test_keyboard.py",
    ),
    *(f"system/test_{each}.py" for each in ("mail_screens", "screens")),
    *(
        f"system/test_{each}_in_browser.py"
        for each in ("hook_settings", "notices", "notifications", "operator", "sending", "settings", "users")
    ),
    *(
        f"system/browser/test_{each}.py"
        for each in ("colleagues", "companies", "deciding", "pausing", "screens_of_forms", "signing_in", "zones")
    ),
]
"""These tests are the same for each engine of a run: a run with another one than the usual leaves them out, too."""

if chosen_engine() != EMBEDDED:
    ONLY_IF_NAMED += [ROOT / "tests" / place for place in WITHOUT_A_CHOICE]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders that a run must name."""
    if collection_path not in ONLY_IF_NAMED:
        return None
    named = any(collection_path in (path := Path(each).resolve(), *path.parents) for each in config.args)
    return None if named else True


def pytest_configure() -> None:
    if os.geteuid() == 0:
        stand_apart()
    begin_run()
    if chosen_engine() != EMBEDDED:
        from tests.support.installation import INSTALLATIONS

        if chosen_engine() not in INSTALLATIONS:
            raise pytest.UsageError(f"{VARIABLE}={chosen_engine()} is not one of {', '.join(INSTALLATIONS)}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return where[2].removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)


class Heard(logging.Handler):
    """Collect the events of the log lines of one test."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.events: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.events.add(str(getattr(record, "event", "")))


def pytest_collection() -> None:
    """Do not look for garbage while tests are found: modules and tests stay until the end."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was found out of each later search for garbage: these take a fifth of a second with it.

    And save the time that host keys take.
    """
    gc.freeze()
    gc.enable()
    if "asyncssh" in sys.modules:
        from tests.support.quick_rsa import save_time_on_rsa

        save_time_on_rsa()


ROOMS = ("system", "contract", "integration", "unit")
"""The folders of tests/, those of the longest tests first."""


def _belongs_to_the_run(item: pytest.Item) -> bool:
    return all(engine == chosen_engine() for engine, _why in (mark.args for mark in item.iter_markers("only_on")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of another engine than that of the run: they are not skipped, but do not belong to it.

    Begin with the tests of servers and browsers: at the end, no process waits long for a file of another one.
    """
    if others := [item for item in items if not _belongs_to_the_run(item)]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _belongs_to_the_run(item)]
    places = {ROOT / "tests" / room: number for number, room in enumerate(ROOMS)}
    items.sort(key=lambda item: next((places[each] for each in item.path.parents if each in places), len(ROOMS)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Give each test the usual mask of new files: a server in the process of an earlier test has set its own."""
    os.umask(0o022)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Drop the databases of the test, once all that used them has ended."""
    try:
        return (yield)
    finally:
        databases, folder = sys.modules.get("tests.support.postgres"), getattr(item, "funcargs", {}).get("tmp_path")
        if databases and folder:
            databases.drop_databases(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test marked `logs` unless it logged a line with each of these events."""
    expected = {event for mark in item.iter_markers("logs") for event in mark.args}
    if not expected:
        return (yield)
    heard, loggers = Heard(), [logging.getLogger(name) for name in ("server", "engine", "importer")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(heard)
        logger.setLevel(logging.INFO)
    try:
        result = yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(heard)
            logger.setLevel(level)
    assert expected <= heard.events, f"not in the log: {', '.join(sorted(expected - heard.events))}"
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print which clients were not tested, below everything but pytest's own last line."""
    yield
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", [])]
    untested = [reason.removeprefix(MISSING) for reason in reasons if reason.startswith(MISSING)]
    if untested:
        clients = ", ".join(sorted({name for names in untested for name in names.split(", ")}))
        line = f"NOT TESTED: {len(untested)} skipped, because these clients are not installed: {clients}"
        terminalreporter.write_line(line, red=True, bold=True)
    avoidable = [reason for reason in reasons if reason != NO_MOUNTS]
    if len(avoidable) < len(reasons):
        line = f"NOT TESTED: {len(reasons) - len(avoidable)} skipped, because {NO_MOUNTS}"
        terminalreporter.write_line(line, red=True, bold=True)
    if avoidable and _nothing_may_be_skipped():
        line = f"FAILED: {len(avoidable)} skipped, and NO_SKIPS allows none"
        terminalreporter.write_line(line, red=True, bold=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped a test, if NO_SKIPS is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [_reason(report) for report in reporter.stats.get("skipped", [])] if reporter else []
    if (
        any(reason != NO_MOUNTS for reason in skipped)
        and _nothing_may_be_skipped()
        and session.exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
