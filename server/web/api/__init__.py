"""The JSON API under /api/v1, one module for each noun."""

from __future__ import annotations

from fastapi import APIRouter

from server.web.api import changes, events, imports, keys, notifications, sending, settings, tenants, tokens, users
from server.web.api.runs import routes as runs

router = APIRouter(generate_unique_id_function=lambda route: route.name)
for _noun in (imports, sending, runs, events, users, changes, settings, keys, tokens, notifications, tenants):
    router.include_router(_noun.router)
