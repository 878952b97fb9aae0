"""A small, obviously right model of reconciling, in plain dictionaries, to compare the importer with.

It knows:

- rows of first and last name, address, job title, teams, manager, role, `deactivate`, `active`, `leave_date`,
  `hire_date`, a column that is not read (`End Date`) and two custom fields
- cells that hold an error or a formula of a spreadsheet, or a word for nothing
- the settings `deactivate_missing`, `reactivate_returning` and `blank_cells`
- days that pass

It knows no batches, digests or SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NO_VALUES = ("#N/A", "#REF!", '="x"')
"""Cells that a spreadsheet writes in place of a value."""
MUST_SAY = ("first_name", "deactivate")
"""Columns in which such a cell rejects the row, or is wrong in a leaver's row."""
WORDS_FOR_NOTHING = ("NULL", "-")
TEXTS = ("job_title", "primary_team", "secondary_team", "desk")
NO_DAY = "soon"

Row = dict[str, str]
Users = dict[str, dict[str, Any]]


@dataclass
class Model:
    """The users of one tenant by address, and the number of each outcome of the newest file."""

    users: Users = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    said: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """The lines of the counted cells, by code and column."""
    past: str = ""
    """A `leave_date` before this day is past."""
    keep_blanks: bool = False
    unread: int = 0
    """The number of active users whose `End Date` is past."""

    def apply(
        self, rows: list[Row], *, past: str, deactivate_missing: bool, reactivate_returning: bool, keep_blanks: bool
    ) -> None:
        self.past, self.keep_blanks, self.unread = past, keep_blanks, 0
        counts = dict.fromkeys(
            ("created", "updated", "unchanged", "reactivated", "deactivated", "rejected", "ignored"), 0
        )
        before = {name: dict(user) for name, user in self.users.items()}
        leaves = {id(row): self._leaves(row, said=True) for row in rows}
        standing: dict[str, Row] = {}
        for row in sorted(rows, key=lambda row: leaves[id(row)]):
            standing.setdefault(row["email"], row)
        seen = standing.keys()
        accepted: list[Row] = []
        self.said = {}
        for line, row in enumerate(rows, 2):
            if row is not standing[row["email"]]:
                beside = leaves[id(row)] and not leaves[id(standing[row["email"]])]
                counts["ignored" if beside else "rejected"] += 1
                continue
            fate = self._fate(row, reactivate_returning)
            if fate == "write":
                self._count_cells(line, row)
                self.unread += not self._leaves(row) and self._is_over(row.get("End Date", ""), row)
            row = {column: cell for column, cell in row.items() if cell not in NO_VALUES}
            if fate == "write":
                self._write(row, keep_blanks)
                accepted.append(row)
            else:
                counts[fate] += 1
        for row in accepted:
            self._link(row, keep_blanks)
        if deactivate_missing:
            for name, user in self.users.items():
                if name not in seen:
                    user["state"] = "deactivated"
        left = {row["email"] for row in rows} - {row["email"] for row in accepted}
        for name, user in self.users.items():
            if name in before and (name in left or name not in seen) and user == before[name]:
                continue
            counts[_outcome(before.get(name), user)] += 1
        self.counts = counts

    def _fate(self, row: Row, reactivate_returning: bool) -> str:
        known = self.users.get(row["email"])
        if self._leaves(row):
            return "write" if known else "ignored"
        if row.get("active") == "":
            return "rejected"
        if (
            row["first_name"] in ("", *NO_VALUES)
            or row.get("deactivate") in NO_VALUES
            or row.get("role") == "king"
            or row.get("floor") == "two"
            or row.get("leave_date") == NO_DAY
        ):
            return "rejected"
        if known and known["state"] == "deactivated" and not reactivate_returning:
            return "unchanged"
        return "write"

    def _leaves(self, row: Row, *, said: bool = False) -> bool:
        """Return whether a flag is set, or the last day is past: that of the row, or else the stored one.

        With `said`, a stored day counts only if the file has no column for it.
        """
        last_day = row.get("leave_date", NO_VALUES[0])
        if last_day in NO_VALUES:
            last_day = self._stored(row, "leave_date", said=said)
        flagged = row.get("deactivate") == "1" or row.get("active") == "no"
        return flagged or self._is_over(last_day, row, said=said)

    def _stored(self, row: Row, name: str, *, said: bool) -> str:
        return "" if said and name in row else self.users.get(row["email"], {}).get(name) or ""

    def _is_over(self, last_day: str, row: Row, *, said: bool = False) -> bool:
        """Return whether a last day is past, and not before the row's hire date (an earlier employment)."""
        hired = row.get("hire_date", NO_VALUES[0])
        if hired in NO_VALUES or (self.keep_blanks and not hired):
            hired = self._stored(row, "hire_date", said=said)
        return last_day != NO_DAY and "" < last_day < self.past and hired <= last_day

    def _count_cells(self, line: int, row: Row) -> None:
        for column, cell in row.items():
            if cell in NO_VALUES and column not in MUST_SAY:
                code = "formula" if cell.startswith("=") else "spreadsheet_error"
                self.said.setdefault((code, column), []).append(line)
            elif cell in WORDS_FOR_NOTHING and column in TEXTS:
                self.said.setdefault(("placeholder", column), []).append(line)

    def _write(self, row: Row, keep_blanks: bool) -> None:
        new: dict[str, Any] = {"custom": {}}
        new |= {"job_title": None, "role": "learner", "primary_team": None, "secondary_team": [], "manager": None}
        new |= {"leave_date": None, "hire_date": None}
        leaves = self._leaves(row)
        user = self.users.setdefault(row["email"], new)
        if row.get("first_name"):
            user["first_name"] = row["first_name"]
        if "job_title" in row and not (keep_blanks and not row["job_title"]):
            user["job_title"] = row["job_title"] or None
        if "role" in row and row["role"] != "king" and not (keep_blanks and not row["role"]):
            user["role"] = row["role"] or "learner"
        self._set_own(user, row, keep_blanks)
        self._set_teams(user, row, keep_blanks)
        if row.get("leave_date", NO_DAY) != NO_DAY:
            user["leave_date"] = row["leave_date"] or None
        if "hire_date" in row and not (keep_blanks and not row["hire_date"]):
            user["hire_date"] = row["hire_date"] or None
        user["state"] = "deactivated" if leaves else "active"

    @staticmethod
    def _set_own(user: dict[str, Any], row: Row, keep_blanks: bool) -> None:
        means = {"1": 1, "1.0": 1, "2": 2, "D1": "D1", "NULL": "NULL"}
        own = {key: row[key] for key in ("floor", "desk") if row.get(key, "two") != "two"}
        written = {key: means[cell] for key, cell in own.items() if cell in means}
        blank = set() if keep_blanks else own.keys() - written.keys()
        user["custom"] = {key: value for key, value in {**user["custom"], **written}.items() if key not in blank}

    @staticmethod
    def _set_teams(user: dict[str, Any], row: Row, keep_blanks: bool) -> None:
        if "primary_team" in row and not (keep_blanks and not row["primary_team"]):
            user["primary_team"] = row["primary_team"] or None
        if "secondary_team" in row and not (keep_blanks and not row["secondary_team"]):
            names = [name for name in row["secondary_team"].split(",") if name]
            if user["primary_team"] is None and names:
                user["primary_team"] = names[0]
            user["secondary_team"] = list(dict.fromkeys(names))
        user["secondary_team"] = [name for name in user["secondary_team"] if name != user["primary_team"]]

    def _link(self, row: Row, keep_blanks: bool) -> None:
        if "manager" not in row or (keep_blanks and not row["manager"]):
            return
        user = self.users[row["email"]]
        if not row["manager"]:
            user["manager"] = None
        elif row["manager"] in self.users and row["manager"] != row["email"]:
            user["manager"] = row["manager"]


def _outcome(before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    if before is None:
        return "created"
    if before["state"] != after["state"]:
        return "deactivated" if after["state"] == "deactivated" else "reactivated"
    return "unchanged" if before == after else "updated"
