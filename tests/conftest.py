"""How every run of the tests goes: which examples properties are tried on, and what is said of missing clients."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.clients import MISSING


def _nothing_may_be_skipped() -> bool:
    return os.environ.get("HEADCOUNT_NO_SKIPS", "") not in ("", "0")


# A slow machine is no fault of ours. And the gate says the same of the same code twice: new examples are for
# whoever works on it.
hypothesis.settings.register_profile("everywhere", deadline=None, derandomize=_nothing_may_be_skipped())
hypothesis.settings.load_profile("everywhere")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return where[2].removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """One line below everything else, right above pytest's own last one."""
    yield
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", [])]
    untested = [reason.removeprefix(MISSING) for reason in reasons if reason.startswith(MISSING)]
    if untested:
        clients = ", ".join(sorted({name for names in untested for name in names.split(", ")}))
        line = f"NOT TESTED: {len(untested)} skipped, because these clients are not installed: {clients}"
        terminalreporter.write_line(line, red=True, bold=True)
    if reasons and _nothing_may_be_skipped():
        line = f"FAILED: {len(reasons)} skipped, and HEADCOUNT_NO_SKIPS allows none"
        terminalreporter.write_line(line, red=True, bold=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where nothing may be skipped, a run that skipped something has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and _nothing_may_be_skipped() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
