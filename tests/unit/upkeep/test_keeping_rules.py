"""The rules that decide which tenants may have expired data."""

from __future__ import annotations

import pytest

from engine.figures import Figures, Pruned
from engine.tenants import Tenant
from server.upkeep.keeping import may_have_expired, pruned_for

NOW = "2026-03-10T12:00:00.000Z"
TENANT = Tenant("acme", "2026-01-01T00:00:00.000Z", 7)
FIGURES = Figures(5, 1, None, 90, 1000, inviting=False, logged=0)
AS_NOW = pruned_for(TENANT, 90, 1000)


@pytest.mark.parametrize(
    ("figures", "pruned", "due"),
    [
        (FIGURES, Pruned(AS_NOW, None), False),
        (FIGURES, Pruned(AS_NOW, "2026-03-10T12:00:00.001Z"), False),
        (FIGURES, Pruned(AS_NOW, NOW), True),
        (FIGURES, None, True),
        (None, Pruned(AS_NOW, None), True),
        (FIGURES, Pruned("", None), True),
        (FIGURES, Pruned(pruned_for(Tenant("acme", NOW, 6), 90, 1000), None), True),
        (FIGURES, Pruned(pruned_for(Tenant("acme", NOW, 7, 1), 90, 1000), None), True),
        (FIGURES, Pruned(pruned_for(TENANT, 91, 1000), None), True),
        (FIGURES, Pruned(pruned_for(TENANT, 90, 1001), None), True),
    ],
)
def test_a_tenant_is_pruned_after_an_import_a_changed_setting_or_a_day(
    figures: Figures | None, pruned: Pruned | None, due: bool
) -> None:
    assert may_have_expired(TENANT, figures, pruned, NOW) is due


def test_a_tenant_without_files_has_no_expired_data() -> None:
    assert may_have_expired(Tenant("acme", NOW, 0), None, None, NOW) is False
    assert may_have_expired(Tenant("acme", NOW, 0, 1), None, None, NOW) is True
