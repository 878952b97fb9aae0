"""The pages, a module a noun: rendered here, usable without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter

from server.web.pages import api, companies, events, import_, import_files, imports, keys, signing_in, trying, users
from server.web.pages.errors import tell
from server.web.pages.settings import page as settings

__all__ = ["router", "tell"]

router = APIRouter(include_in_schema=False)
for _page in (signing_in, api, events, imports, import_, import_files, trying, users, settings, keys, companies):
    router.include_router(_page.router)
