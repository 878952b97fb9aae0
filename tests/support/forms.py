"""Forms of a page, as a browser without JavaScript sends them."""

from __future__ import annotations

from html.parser import HTMLParser

Pairs = list[tuple[str, str]]


class Form(HTMLParser):
    """The form with this `action`. `pairs` has the name and value of each control as sent without edits.

    Buttons are not in it.
    """

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.pairs: Pairs = []
        self._action = action
        self._inside = False
        self._select: tuple[str, list[str], list[str]] | None = None
        self._area: tuple[str, str] | None = None
        self.feed(page)

    def __getitem__(self, name: str) -> str:
        return next(text for found, text in reversed(self.pairs) if found == name)

    def but(self, **changes: str | None) -> dict[str, list[str]]:
        """Return what is sent after these changes. None clears a checkbox; `__` in a name means a dot."""
        sent: dict[str, list[str]] = {}
        for name, text in self.pairs:
            sent.setdefault(name, []).append(text)
        for name, change in changes.items():
            key = name.replace("__", ".")
            sent[key] = ["off"] if change is None else [change]
        return sent

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self._inside = found.get("action") == self._action
        if not self._inside:
            return
        name, value = found.get("name") or "", found.get("value") or ""
        if tag == "input" and (found.get("type") != "checkbox" or "checked" in found):
            self.pairs.append((name, value))
        elif tag == "select":
            self._select = (name, [], [])
        elif tag == "option" and self._select:
            self._select[1].append(value)
            if "selected" in found:
                self._select[2].append(value)
        elif tag == "textarea":
            self._area = (name, "")

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area = (self._area[0], self._area[1] + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select" and self._select:
            name, all_of_them, selected = self._select
            self.pairs.append((name, [*selected, *all_of_them[:1]][0]))
            self._select = None
        elif tag == "textarea" and self._area:
            name, text = self._area
            text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\n")
            self.pairs.append((name, text.replace("\n", "\r\n")))
            self._area = None
