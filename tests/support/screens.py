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

Look = Literal["all", "colors", "but colors"]
"""Which rules of axe."""

VIOLATIONS = """async ([look, known]) => {
    const COLORS = ["color-contrast", "link-in-text-block"], found = [], passed = new Set(known);
    const grounds = new Map([[null, ""]]), kinds = new Map();
    const ground = each => {
        if (!grounds.has(each)) {
            const {backgroundColor: color, backgroundImage, opacity, position, filter} = getComputedStyle(each);
            const layer = [color, backgroundImage, opacity, position, filter].join();
            const plain = layer == "rgba(0, 0, 0, 0),none,1,static,none";
            grounds.set(each, ground(each.parentElement) + (plain ? "" : `/${layer}`));
        }
        return grounds.get(each);
    };
    const kind = (each, link, text) => {
        const style = getComputedStyle(each), {fontSize, fontWeight, fontFamily, fontStyle} = style;
        const font = [style.color, fontSize, fontWeight, fontFamily, fontStyle, style.textShadow].join();
        const off = each.closest(":disabled, [aria-disabled=true], [aria-hidden=true], [inert]");
        let block = link?.parentElement;
        while (block && getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
        const around = block && [getComputedStyle(block).color, block.innerText.trim() == link.innerText.trim(),
            getComputedStyle(link).textDecoration, getComputedStyle(link).border, getComputedStyle(block).fontWeight];
        const letters = /[\\p{L}\\p{N}]{2}/u.test(text);
        return [ground(each), font, letters, !!(off || each.closest("label")?.control?.disabled), around].join(";");
    };
    if (look != "colors") {
        const rules = Object.fromEntries(COLORS.map(each => [each, {enabled: false}]));
        found.push(await axe.run({resultTypes: ["violations"], rules}));
    }
    if (look != "but colors") {
        for (const each of document.querySelectorAll("body, body *")) {
            const text = [...each.childNodes].map(node => node.nodeType == 3 ? node.data : "").join("").trim();
            if (!text && !each.matches("input, select, textarea") || !each.checkVisibility()) continue;
            const link = each.closest("a[href], [role=link]"), name = kind(each, link, text || each.value || "");
            if (!passed.has(name)) kinds.set(name, [...kinds.get(name) ?? [], link ?? each]);
        }
        const options = {resultTypes: ["violations", "incomplete"], elementRef: true, runOnly: COLORS};
        const looked = async include => {
            if (!include.length) return [];
            found.push(await axe.run({include: [...new Set(include)]}, options));
            return found.at(-1).incomplete.flatMap(each => each.nodes.map(node => node.element));
        };
        const unsure = await looked([...kinds.values()].flatMap(all => [all[0], all.at(-1)]));
        for (const [name, all] of kinds)
            if (!all.some(one => unsure.some(each => one.contains(each)))) kinds.delete(name), passed.add(name);
        await looked([...kinds.values()].flat());
    }
    const faults = found.flatMap(each => each.violations);
    return [faults.map(each => [each.id, each.nodes.map(node => node.html.slice(0, 200))]), [...passed]];
}"""
"""Runs axe; returns the HTML of what violates its rules, by rule, and the kinds of text whose colors passed.

The rules about colors take it ten times as long as all others. They look at the first and the last text of each kind
that is not known to pass: of one font, color and ground, in a link or not. If axe cannot tell for one of these, they
look at all of its kind.
"""
PASSED: list[str] = []
"""The kinds of text whose colors passed on a page of this run."""


async def screens(page: Page, widths: tuple[int, ...] = WIDTHS) -> AsyncIterator[tuple[int, Scheme]]:
    """Show the open page on each screen in turn; yield its width and colors."""
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            yield width, scheme


async def faults_on_screens(page: Page, name: str, widths: tuple[int, ...] = WIDTHS) -> dict[str, object]:
    """Return the faults of the open page on each screen, by page, screen and kind.

    axe looks at the narrowest and the widest one, at light colors on the widest, and at dark ones on the narrowest:
    the width changes no color, and dark colors nothing else that axe looks at.
    """
    found: dict[str, object] = {}
    for width in reversed(widths):
        await page.set_viewport_size({"width": width, "height": 800})
        if width == widths[-1]:
            found |= await faults_of(page, f"{name} {width}")
        elif width == widths[0]:
            found |= await faults_of(page, f"{name} {width}", "but colors")
        else:
            found |= await too_wide(page, f"{name} {width}")
    await page.emulate_media(color_scheme="dark")
    found |= await violations_of(page, f"{name} dark", "colors")
    await page.emulate_media(color_scheme="light")
    return found


async def too_wide(page: Page, name: str) -> dict[str, object]:
    """Return by how many pixels the open page is wider than the screen, if it is."""
    wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return {f"{name}: wider than the screen": wider} if wider else {}


async def faults_of(page: Page, name: str, look: Look = "all") -> dict[str, object]:
    """Return the faults of the open page as it is now, by kind; of axe's rules, only of `look`."""
    found = await violations_of(page, name, look) | await too_wide(page, name)
    if not re.fullmatch(r"\S.* · Headcount", await page.title()):
        found[f"{name}: title"] = await page.title()
    return found


async def violations_of(page: Page, name: str, look: Look = "all") -> dict[str, object]:
    """Return what violates the rules of axe of `look`."""
    if await page.evaluate("typeof axe == 'undefined'"):
        await page.evaluate(AXE)
        await page.add_init_script(AXE)  # the next pages come with it, which takes a third of the time
    violations, passed = await page.evaluate(VIOLATIONS, [look, PASSED])
    if not violations:
        PASSED[:] = passed
    return {f"{name}: {rule}": nodes for rule, nodes in violations}
