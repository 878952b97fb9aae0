"""`python -m tests.peers [suites...]`: run suites, and list failures that no rule of the server explains."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.peers.expected import EXPECTED
from tests.peers.meeting import Meeting
from tests.peers.suites import SUITES, Outcome, UnavailableError
from tests.support.server_process import ServerProcess


def unexpected(outcomes: Sequence[Outcome], expected: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each outcome that is not as `expected` (failing tests, by the rule that makes them fail)."""
    rules = {test: rule for rule, tests in expected.items() for test in tests}
    return [
        f"{test}: {said}" if outcome == "fail" else f"{test}: passes, and is expected to fail: {rules[test]}"
        for test, outcome, said in outcomes
        if (outcome == "fail" and test not in rules) or (outcome == "pass" and test in rules)
    ]


def run(name: str, folder: Path) -> bool:
    """Run one suite against its own server; return whether all outcomes are as expected."""
    with ServerProcess(folder) as server:
        server.add_tenant("acme")
        work = folder / "work"
        work.mkdir()
        try:
            outcomes = list(SUITES[name](Meeting(server, folder / "meeting"), work))
        except UnavailableError as error:
            print(f"{name}: not available: {error}", flush=True)
            return False
        errors = [line for line in server.lines() if line.get("level") in ("error", "critical")]
    counts = Counter(outcome for _, outcome, _ in outcomes)
    expected = sum(map(len, EXPECTED[name].values()))
    print(
        f"{name}: {counts['pass']} passed, {counts['fail']} failed ({expected} expected), {counts['skip']} skipped",
        flush=True,
    )
    wrong = unexpected(outcomes, EXPECTED[name]) + [f"the server logged: {line}" for line in errors]
    for line in wrong:
        print(f"  {line}")
    return not wrong


def main() -> int:
    good = []
    for name in sys.argv[1:] or SUITES:
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            good.append(run(name, Path(folder)))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
