"""The JSON API, a module a noun."""

from __future__ import annotations

from fastapi import APIRouter

from server.web.api import imports

router = APIRouter()
router.include_router(imports.router)
