"""Reads pages in tests: with a session, and as text without tags."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

from tests.support.site import Site

IMPORTS = "/tenants/acme/imports"


async def page(site: Site, path: str = IMPORTS, *, role: str = "owner", status: int = 200) -> str:
    """Return the HTML at `path`; the answer must have `status`."""
    answer = await (await site.browser(role)).get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def seen(text: str) -> str:
    """Return the visible text of a page's main part."""
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def listed(text: str) -> list[int]:
    """Return the ids in a list of imports."""
    return [int(found) for found in re.findall(r'<th scope="row"><a href="[^"]*/imports/(\d+)"', text)]


def done(answer: httpx.Response) -> tuple[str, str]:
    """Return where the answer to a form leads, and the code of the notice that is shown there."""
    assert answer.status_code == 303, answer.text
    return answer.headers["location"], answer.cookies["headcount-notice"].partition(".")[0]


async def settings(site: Site, **changes: Any) -> None:
    """Change settings of acme."""
    await site.office.tenants.change_settings("acme", changes)
