"""The paths of hooks, with `*` for any name within one folder: compared and matched. Pure.

`*` stands for any letters within one part of a path. It does not stand for the names that clients give to unfinished
uploads: names that begin with `.` or `~`, or end in `.filepart`, `.part`, `.partial`, `.tmp` or `~`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

_UNFINISHED = re.compile(r"\.(?:filepart|part|partial|tmp)$|~$", re.IGNORECASE)


@dataclass(frozen=True)
class Pattern:
    """One path of a hook, such as `/invoices/*.csv`. It must be one that `headcount.hooks.why_not_path` allows."""

    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.text[1:].split("/"))

    @cached_property
    def exactness(self) -> tuple[tuple[bool, int], ...]:
        """The more exact of two patterns is greater, part by part from the left.

        A part without `*` is more exact than one with it, and then a part with more other letters.
        """
        return tuple(("*" not in part, len(part.replace("*", ""))) for part in self.parts)

    @cached_property
    def fixed(self) -> tuple[tuple[str, ...], ...]:
        """The folders to make for every tenant, the upper ones first: those before the first part with `*`."""
        folders = self.parts[:-1]
        plain = next((at for at, part in enumerate(folders) if "*" in part), len(folders))
        return tuple(folders[:end] for end in range(1, plain + 1))

    def matches(self, path: str) -> bool:
        """Return whether the hook runs for a file completed at `path`."""
        if self._regex.fullmatch(path) is None:
            return False
        return "*" not in self.parts[-1] or not _unfinished(path.rsplit("/", 1)[-1], self.parts[-1])

    def begins(self, path: str) -> bool:
        """Return whether the name at `path` begins with a name that matches (`march.csv.filepart`)."""
        return self._beginning.match(path) is not None

    def above(self, folder: str) -> bool:
        """Return whether a file somewhere in `folder` can match."""
        names = folder[1:].split("/")
        return len(names) < len(self.parts) and all(
            re.fullmatch(_regex_of(part), name) for part, name in zip(self.parts, names, strict=False)
        )

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile("".join(f"/{_regex_of(part)}" for part in self.parts))

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        return re.compile(f"{self._regex.pattern}[^/]*$")


def _regex_of(part: str) -> str:
    return "[^/]*".join(re.escape(letters) for letters in part.split("*"))


def _unfinished(name: str, part: str) -> bool:
    """Return whether `*` in `part` does not stand for `name`, because clients name unfinished uploads like this."""
    hidden = name.startswith((".", "~")) and part.startswith("*")
    return hidden or (_UNFINISHED.search(name) is not None and _UNFINISHED.search(part) is None)


def overlap(one: Pattern, other: Pattern) -> bool:
    """Return whether some path matches both patterns, and neither is more exact."""
    return one.exactness == other.exactness and all(
        _meet(part, its) for part, its in zip(one.parts, other.parts, strict=True)
    )


@lru_cache(maxsize=4096)
def _meet(one: str, other: str) -> bool:
    """Return whether some name matches both parts."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _meet(one[1:], other) or _meet(one, other[1:])
    if other[0] == "*":
        return _meet(one, other[1:]) or _meet(one[1:], other)
    return one[0] == other[0] and _meet(one[1:], other[1:])
