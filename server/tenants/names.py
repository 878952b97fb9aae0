"""Names of tenants, and the refusals about them."""

from __future__ import annotations

import re

from server.tenants.settings import TenantRefused

NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


def valid_name(name: str) -> str:
    """Return `name`. Raises TenantRefused if no tenant can have it."""
    if not NAME.fullmatch(name):
        raise TenantRefused(
            "bad_name",
            f"“{name}” cannot be the name of a tenant. Use 2 to 31 of a-z, 0-9 and hyphens, a letter first",
        )
    return name


def tenant_exists(name: str) -> TenantRefused:
    return TenantRefused("tenant_exists", f"the tenant {name} exists already")
