"""The refusal of an upload while too many imports wait."""

from __future__ import annotations

import pytest

from importer.errors import Refused
from importer.model import ImportState
from importer.queue.entry import Waiting
from server.hooks.admission import refuse_if_full
from server.tenants.settings import TenantSettings


def waiting(count: int) -> list[Waiting]:
    return [Waiting("acme", number, ImportState.QUEUED, number, dry_run=False) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (1, "1 import waits already, and the limit is 1 (max_waiting_imports)."),
        (2, "2 imports wait already, and the limit is 2 (max_waiting_imports)."),
        (1000, "1,000 imports wait already, and the limit is 1,000 (max_waiting_imports)."),
    ],
)
def test_an_import_above_the_limit_is_refused_with_the_right_plural(limit: int, sentence: str) -> None:
    settings = TenantSettings(max_waiting_imports=limit)
    refuse_if_full(waiting(limit - 1), settings, dry_run=False)
    with pytest.raises(Refused) as caught:
        refuse_if_full(waiting(limit), settings, dry_run=False)
    assert caught.value.code == "too_many_waiting"
    assert caught.value.message == f"{sentence} Send the file again when some have run"
