"""The list of users as a visitor asks for it: filters, order and page, all in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from importer.model import INTEGER_MAX
from importer.users.directory import ALL, Directory, ShownUser, Sort, Wanted

PAGE = 25
SORTED_MOST = 10_000
"""The most users that are counted and sorted. A longer list is in the order of creation, page after page."""

NAMES = 200
"""The most teams and locations in a menu. If there are more, the visitor types the name."""

SORTS = {
    Sort.CREATED: "Oldest first",
    Sort.NEWEST: "Newest first",
    Sort.LAST_NAME: "Last name",
    Sort.FIRST_NAME: "First name",
    Sort.EMAIL: "Email",
    Sort.TEAM: "Primary team",
}
YES = {"yes": True, "no": False}


class UsersAsked(BaseModel):
    """The query of the address. `skip` counts the users before the page, `after` is the last one of a long list."""

    search: str = Field("", max_length=255)
    state: Literal["active", "deactivated", ""] = ""
    team: str = Field("", max_length=255)
    location: str = Field("", max_length=255)
    protected: Literal["yes", "no", ""] = ""
    sort: Sort = Sort.CREATED
    skip: int = Field(0, ge=0, le=INTEGER_MAX)
    after: int = Field(0, ge=0, le=INTEGER_MAX)

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            self.search.strip(),
            self.state or None,
            self.team.strip() or None,
            self.location.strip() or None,
            YES.get(self.protected),
        )

    @property
    def is_filtered(self) -> bool:
        return self.wanted != ALL

    @property
    def is_narrow(self) -> bool:
        """Return whether one of the less frequent filters is used."""
        return bool(self.team or self.location or self.protected or self.sort is not Sort.CREATED)

    @property
    def filters(self) -> dict[str, str]:
        """Return the parameters that say which users the list has."""
        names = {"search": self.search.strip(), "state": self.state, "team": self.team, "location": self.location}
        return {**names, "protected": self.protected}

    def query(self, **page: int) -> str:
        """Return the query of the same list, at this page; "" for the list of all users."""
        return _query({**self.filters, "sort": self.sort.value if self.sort is not Sort.CREATED else "", **page})

    @property
    def download(self) -> str:
        """Return the query of a download of these users: it has no order, because it is in the order of creation."""
        return _query(self.filters)

    def total_of(self, counts: Mapping[str, int]) -> int | None:
        """Return how many users a long list has, by the counts of all users by state; None if that is unknown."""
        if self.wanted == ALL:
            return sum(counts.values())
        return counts[self.state] if self.wanted == Wanted(state=self.state) else None


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list. `total` is None if more than SORTED_MOST users were found: then they are not sorted.

    `first`, `previous` and `next` are the queries of other pages; None if there is no such page.
    """

    users: Sequence[ShownUser]
    total: int | None
    skip: int
    first: str | None = None
    previous: str | None = None
    next: str | None = None


async def list_of(directory: Directory, asked: UsersAsked) -> Listed:
    """Return the page that is asked for."""
    if found := await directory.sorted_page(asked.wanted, asked.sort, skip=asked.skip, limit=PAGE, most=SORTED_MOST):
        return _counted(asked, *found)
    users, more = await directory.page(asked.wanted, limit=PAGE, after=asked.after)
    skip = asked.skip if asked.after else 0
    return Listed(
        users,
        None,
        skip,
        first=asked.query() if asked.after else None,
        next=asked.query(skip=skip + PAGE, after=more) if more else None,
    )


def _query(asked: Mapping[str, str | int]) -> str:
    found = {name: value for name, value in asked.items() if value}
    return f"?{urlencode(found)}" if found else ""


def menu_of(names: Sequence[str], chosen: str) -> list[tuple[str, str]] | None:
    """Return the options of a menu of names, with the chosen one; None if they are too many for a menu. Pure."""
    if len(names) > NAMES:
        return None
    more = [chosen] if chosen and chosen not in names else []
    return [("", "All"), *((name, name) for name in (*more, *names))]


def _counted(asked: UsersAsked, users: Sequence[ShownUser], total: int) -> Listed:
    """Return a page of a list whose users were counted. Pure."""
    skip = min(asked.skip, total)
    return Listed(
        users,
        total,
        skip,
        first=asked.query() if skip > PAGE else None,
        previous=asked.query(skip=max(0, skip - PAGE)) if skip else None,
        next=asked.query(skip=skip + PAGE) if skip + PAGE < total else None,
    )
