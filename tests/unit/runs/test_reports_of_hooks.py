"""Files that a hook reports: their names."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headcount import Delivery

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    return Delivery("acme", 1, "/invoices/a.csv", "a.csv", 5, "ab" * 32, NOON, 1, None, tmp_path / "copy", tmp_path)


def test_a_second_report_of_the_same_name_replaces_the_first(delivery: Delivery, tmp_path: Path) -> None:
    delivery.report("rows.json", b"first")
    delivery.report("rows.json", b"second")
    assert (tmp_path / "rows.json").read_bytes() == b"second"


@pytest.mark.parametrize("name", ["json", "", "a/b", "../x", "two words", "x" * 101, "ü"])
def test_a_name_that_results_cannot_have_is_refused(delivery: Delivery, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="report"):
        delivery.report(name, b"x")
    assert list(tmp_path.iterdir()) == []
