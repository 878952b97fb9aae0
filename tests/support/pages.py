"""Pages as a test reads them: by somebody who has signed in, and without their tags."""

from __future__ import annotations

import html
import re
from typing import Any

from tests.support.site import Site

IMPORTS = "/tenants/acme/imports"


async def page(site: Site, path: str = IMPORTS, *, role: str = "owner", status: int = 200) -> str:
    """The page at `path`, which is answered with `status`."""
    answer = await (await site.browser(role)).get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def seen(text: str) -> str:
    """What somebody reads on a page."""
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def listed(text: str) -> list[int]:
    """The numbers in a list of imports."""
    return [int(found) for found in re.findall(r'<th scope="row"><a href="[^"]*/imports/(\d+)"', text)]


async def settings(site: Site, **changes: Any) -> None:
    """Change settings of acme."""
    await site.office.tenants.change_settings("acme", changes)
