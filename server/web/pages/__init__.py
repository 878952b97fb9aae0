"""The pages, one module for each subject: rendered on the server, usable without JavaScript."""

from __future__ import annotations

from fastapi import APIRouter

from server.web.pages import (
    api,
    colleagues,
    companies,
    events,
    keys,
    notifications,
    operating,
    signing_in,
    testing,
    users,
)
from server.web.pages.errors import answer_of
from server.web.pages.files import one as file_page
from server.web.pages.files import page as files_page
from server.web.pages.help import page as help_page
from server.web.pages.imports import files as import_files
from server.web.pages.imports import one as import_page
from server.web.pages.imports import page as imports_page
from server.web.pages.settings import page as settings_page

__all__ = ["answer_of", "router"]

router = APIRouter(include_in_schema=False)
for _page in (
    *(signing_in, api, help_page, events, imports_page, import_page, import_files),
    *(files_page, file_page, testing, users, settings_page, keys, notifications, colleagues, companies, operating),
):
    router.include_router(_page.router)
