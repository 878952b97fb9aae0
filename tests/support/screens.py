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

VIOLATIONS = """async rules => {
    const all = await axe.run({resultTypes: ["violations"], ...rules});
    return Object.fromEntries(all.violations.map(
        each => [each.id, each.nodes.map(node => node.html.slice(0, 200))]));
}"""
"""Runs axe, and returns the HTML of what violates its rules, by rule. All else that axe finds would take longest."""
ALL: dict[str, object] = {}
CONTRAST: dict[str, object] = {"runOnly": ["color-contrast"]}
BUT_CONTRAST: dict[str, object] = {"rules": {"color-contrast": {"enabled": False}}}
"""Options of axe. The contrast takes it five times as long as all other rules."""


async def screens(page: Page, widths: tuple[int, ...] = WIDTHS) -> AsyncIterator[tuple[int, Scheme]]:
    """Show the open page on each screen in turn; yield its width and colors."""
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            yield width, scheme


async def faults_on_screens(page: Page, name: str, widths: tuple[int, ...] = WIDTHS) -> dict[str, object]:
    """Return the faults of the open page on each screen, by page, screen and kind.

    axe looks at the narrowest and the widest one, and at the contrast of colors on the widest one: the width changes
    no contrast, and dark colors nothing else that axe looks at.
    """
    found: dict[str, object] = {}
    looks = {(widths[0], "light"): BUT_CONTRAST, (widths[-1], "light"): ALL, (widths[-1], "dark"): CONTRAST}
    async for width, scheme in screens(page, widths):
        if (look := looks.get((width, scheme))) is not None:
            found |= await faults_of(page, f"{name} {width} {scheme}", look)
        elif scheme == "light":
            found |= await too_wide(page, f"{name} {width}")
    return found


async def too_wide(page: Page, name: str) -> dict[str, object]:
    """Return by how many pixels the open page is wider than the screen, if it is."""
    wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return {f"{name}: wider than the screen": wider} if wider else {}


async def faults_of(page: Page, name: str, rules: dict[str, object] = ALL) -> dict[str, object]:
    """Return the faults of the open page as it is now, by kind; of axe's rules, only of these."""
    found = await violations_of(page, name, rules) | await too_wide(page, name)
    if not re.fullmatch(r"\S.* · Headcount", await page.title()):
        found[f"{name}: title"] = await page.title()
    return found


async def violations_of(page: Page, name: str, rules: dict[str, object] = ALL) -> dict[str, object]:
    """Return what violates these rules of axe."""
    if await page.evaluate("typeof axe == 'undefined'"):
        await page.evaluate(AXE)
        await page.add_init_script(AXE)  # the next pages come with it, which takes a third of the time
    violations = await page.evaluate(VIOLATIONS, rules)
    return {f"{name}: {rule}": nodes for rule, nodes in violations.items()}
