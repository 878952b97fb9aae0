"""How `make peers` judges the outcomes of a suite."""

from __future__ import annotations

from tests.peers.__main__ import unexpected
from tests.peers.expected import EXPECTED
from tests.peers.suites import SUITES

RULES = {"no links": ("test_link",)}


def test_a_failure_without_a_rule_is_unexpected() -> None:
    outcomes = [("test_link", "fail", "refused"), ("test_put", "fail", "cut off"), ("test_get", "pass", "")]
    assert unexpected(outcomes, RULES) == ["test_put: cut off"]


def test_a_test_that_passes_against_its_rule_is_unexpected() -> None:
    assert unexpected([("test_link", "pass", "")], RULES) == ["test_link: passes, and is expected to fail: no links"]


def test_every_suite_lists_its_expected_outcomes() -> None:
    assert EXPECTED.keys() == SUITES.keys()
