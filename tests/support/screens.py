"""Pages on screens of all widths, light and dark: what axe finds, and what is wider than the screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Literal

from playwright.async_api import Page

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTHS = (320, 390, 800, 1280)

AXE = next(Path(str(resources.files("axe_playwright_python"))).rglob("axe.min.js")).read_text(encoding="utf-8")


async def screens(page: Page, widths: tuple[int, ...] = WIDTHS) -> AsyncIterator[tuple[int, Scheme]]:
    """Show the open page on each screen in turn; yield its width and colors."""
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            yield width, scheme


async def faults_on_screens(page: Page, name: str, widths: tuple[int, ...] = WIDTHS) -> dict[str, object]:
    """Return the faults of the open page on each screen, by page, screen and kind.

    Dark, only the contrast is checked: colors change nothing else that axe looks at.
    """
    found: dict[str, object] = {}
    async for width, scheme in screens(page, widths):
        rules = ["color-contrast"] if scheme == "dark" else []
        found |= await faults_of(page, f"{name} {width} {scheme}", rules)
    return found


async def faults_of(page: Page, name: str, rules: list[str] | None = None) -> dict[str, object]:
    """Return the faults of the open page as it is now, by kind; with `rules` only what these rules of axe find."""
    if await page.evaluate("typeof axe == 'undefined'"):
        await page.evaluate(AXE)
    result = await page.evaluate("rules => axe.run(rules.length ? {runOnly: rules} : {})", rules or [])
    found: dict[str, object] = {
        f"{name}: {each['id']}": [node["html"][:200] for node in each["nodes"]] for each in result["violations"]
    }
    if wider := await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"):
        found[f"{name}: wider than the screen"] = wider
    if not re.fullmatch(r"\S.* · Headcount", await page.title()):
        found[f"{name}: title"] = await page.title()
    return found
