"""Write the messages of an import to files while it runs, because a rollback would remove rows of a database.

Each of three files gets its final name, complete, when the import ends: `<id>.jsonl` (messages), `<id>.errors.csv`
(rejected rows as they came, to be fixed and sent again) and `<id>.touched.jsonl` (the users that a held import or a
dry run would change). This module also reads them, page by page.

Messages about the whole file come first, the most serious before the others (`whole_file`), though most are known
only after the last row. So they wait in memory, as they are few; the messages about rows wait in a file. `keep` joins
both.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, NotRequired, TypedDict, cast

from importer.file.formulas import escape_formula, unescape_formula
from importer.file.header import REPORT_COLUMNS, Header
from importer.messages.grouping import Group, grouped
from importer.messages.whole_file import rank
from importer.model import MESSAGES_IN_REPORT, Problem, Severity

MESSAGES_KEPT = 10_000
"""The most messages of one import that are stored; the others are only counted. errors.csv is always complete."""

WHOLE_FILE_KEPT = 1000
"""The most messages about the whole file that are stored before those about rows."""

_ROWS = "rows.jsonl"
_FIRST_OF_ALL = -1


class Touched(TypedDict):
    """One line of `<id>.touched.jsonl`.

    `user_id` is None for a user that would be created; `line` is that of the user's row, None for an absent user.
    A list of an earlier version has no `line`.
    """

    action: str
    user_id: int | None
    identifier: str | None
    email: str | None
    name: str
    absent: bool
    line: NotRequired[int | None]


class Spool:
    """The files of one import, as a context manager: without `keep()` it leaves no files.

    The folder is opened, and created if missing, at the start. Files go into that folder even if its path changes: a
    tenant removed and added again meanwhile is another tenant. `warnings` and `rejected` count warnings and rejected
    rows; `rejected_for` counts rejected rows by the columns that their messages name.
    """

    def __init__(self, folder: Path, import_id: int, delimiter: str = ",") -> None:
        self._folder = folder
        self._id = import_id
        self._delimiter = delimiter
        self._into = -1
        self._files: dict[str, IO[str]] = {}
        self._write_rejected: Callable[[Iterable[object]], object] | None = None
        self._width = 0
        self._whole_file: list[tuple[int, Problem]] = []
        self._first_of_rows: list[Problem] = []
        self._said_of_rows = 0
        self.warnings = 0
        self.rejected = 0
        self.rejected_for: Counter[str] = Counter()

    def __enter__(self) -> Spool:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._into = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, file in self._files.items():
            file.close()
            self._remove(self._temporary(name))
        os.close(self._into)

    @property
    def whole_file(self) -> list[Problem]:
        """The messages about the whole file, most serious first."""
        return [problem for _, problem in sorted(self._whole_file, key=lambda each: each[0])]

    @property
    def first(self) -> tuple[Problem, ...]:
        """The messages in the report: those about the whole file, then the first ones about rows."""
        return (*self.whole_file, *self._first_of_rows)[:MESSAGES_IN_REPORT]

    def say(self, problems: Iterable[Problem]) -> None:
        """Add these messages:

        Those about the whole file before all others, by rank; those about rows in this order.
        """
        for problem in problems:
            self.warnings += problem.severity is Severity.WARNING
            place = rank(problem)
            if place is not None and len(self._whole_file) < WHOLE_FILE_KEPT:
                self._whole_file.append((place, problem))
                continue
            self._said_of_rows += 1
            if len(self._first_of_rows) < MESSAGES_IN_REPORT:
                self._first_of_rows.append(problem)
            if self._said_of_rows <= MESSAGES_KEPT:
                self._write_json(_ROWS, problem.to_json())

    def say_instead(self, code: str, problems: Iterable[Problem]) -> None:
        """Add these messages, and remove those with this `code` about the same columns: the new ones say more."""
        told = list(problems)
        columns = {(problem.column or "").casefold() for problem in told}
        less = [each for each in self._whole_file if each[1].code == code and each[1].column in columns]
        self._whole_file = [each for each in self._whole_file if each not in less]
        self.warnings -= sum(problem.severity is Severity.WARNING for _, problem in less)
        self.say(told)

    def say_first(self, problems: Iterable[Problem]) -> None:
        """Add these messages before all others, in this order: they say why the file failed."""
        for problem in problems:
            self.warnings += problem.severity is Severity.WARNING
            self._whole_file.append((_FIRST_OF_ALL, problem))

    def reject(self, header: Header, line: int, cells: Sequence[str], problems: Iterable[Problem]) -> None:
        """Add a rejected row to errors.csv, with its messages."""
        if self._write_rejected is None:
            # Without a BOM, Excel reads the file in an old encoding.
            file = self._open("errors.csv", encoding="utf-8-sig")
            self._write_rejected = csv.writer(file, delimiter=self._delimiter, lineterminator="\r\n").writerow
            self._width = len(header.raw)
            names = [escape_formula(unescape_formula(name)) for name in header.raw]
            self._write_rejected([*REPORT_COLUMNS, *_kept(header, names, self._width)])
        said = list(problems)
        self.rejected += 1
        self.rejected_for.update({problem.column for problem in said if problem.column})
        codes = "; ".join(dict.fromkeys(problem.code for problem in said))
        sentences = " ".join(problem.message for problem in said)
        # A row with too few cells gets no blank ones: sent again unchanged, it must be rejected again.
        safe = [escape_formula(unescape_formula(cell)) for cell in cells]
        self._write_rejected([line, codes, escape_formula(sentences), *_kept(header, safe, self._width)])

    def touch(self, touched: Iterable[Touched]) -> None:
        """Record the users that the import would change."""
        for entry in touched:
            self._write_json("touched.jsonl", entry)

    def keep(self) -> None:
        """Give the files their final names, in place of those of an earlier run of this import."""
        self._join()
        for name in ("jsonl", "errors.csv", "touched.jsonl"):
            file = self._files.pop(name, None)
            if file is None:
                self._remove(self._final(name))
            else:
                file.close()
                new, final = self._temporary(name), self._final(name)
                os.replace(new, final, src_dir_fd=self._into, dst_dir_fd=self._into)
        self._write_rejected = None

    def _join(self) -> None:
        """Write the messages about the whole file before those about rows, up to the limit."""
        for problem in self.whole_file:
            self._write_json("jsonl", problem.to_json())
        rows = self._files.get(_ROWS)
        if rows is None:
            return
        rows.close()
        whole = self._files.get("jsonl") or self._open("jsonl")
        with self._opened(_ROWS, "r") as lines:
            whole.writelines(islice(lines, MESSAGES_KEPT - len(self._whole_file)))
        del self._files[_ROWS]
        self._remove(self._temporary(_ROWS))

    def _write_json(self, name: str, data: Mapping[str, object]) -> None:
        file = self._files.get(name) or self._open(name)
        file.write(json.dumps(data, ensure_ascii=False) + "\n")

    def _open(self, name: str, encoding: str = "utf-8") -> IO[str]:
        self._files[name] = file = self._opened(name, "w", encoding)
        return file

    def _opened(self, name: str, mode: str, encoding: str = "utf-8") -> IO[str]:
        opener = partial(os.open, mode=0o666, dir_fd=self._into)
        return open(self._temporary(name), mode, encoding=encoding, newline="", opener=opener)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._into)

    def _final(self, name: str) -> str:
        return f"{self._id}.{name}"

    def _temporary(self, name: str) -> str:
        return f".{self._id}.{name}.new"


def messages_in(
    path: Path, *, severity: str | None = None, code: str | None = None, after: int = 0, limit: int = 100
) -> tuple[list[dict[str, object]], int | None]:
    """Return up to `limit` messages of the file `path` (`<id>.jsonl`), and the next `after` (None: no more).

    In the order of the file; only those of this severity and code. Without a file there are no messages.
    """
    wanted = {"severity": severity, "code": code}
    asked = {name: value for name, value in wanted.items() if value is not None}
    return _page(path, asked, after, limit)


def groups_in(path: Path, *, severity: str | None = None) -> list[Group]:
    """Return the messages of the file `path` (`<id>.jsonl`) in groups; only those of this severity."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as lines:
        said = map(json.loads, lines)
        return grouped(each for each in said if severity in (None, each["severity"]))
    return []


def counted_in(path: Path) -> Counter[tuple[str, str]]:
    """Return the number of messages of each severity and code in the file `path` (`<id>.jsonl`)."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as lines:
        return Counter((said["severity"], said["code"]) for said in map(json.loads, lines))
    return Counter()


def touched_in(
    path: Path, *, action: str | None = None, after: int = 0, limit: int = 100
) -> tuple[list[Touched], int | None]:
    """Return a page of `<id>.touched.jsonl`, as `messages_in` does: users that an import would change, by action."""
    found, more = _page(path, {} if action is None else {"action": action}, after, limit)
    return cast(list[Touched], found), more


def _page(path: Path, asked: Mapping[str, str], after: int, limit: int) -> tuple[list[dict[str, object]], int | None]:
    """Return entries after the line `after`, counted from 1. Run it in a thread: the file may be long."""
    found: list[tuple[int, dict[str, object]]] = []
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if number > after and all(f'"{value}"' in line for value in asked.values()):
                entry = json.loads(line)
                if all(entry[name] == value for name, value in asked.items()):
                    found.append((number, entry))
                    if len(found) > limit:
                        break
    more = found[limit - 1][0] if len(found) > limit else None
    return [entry for _, entry in found[:limit]], more


def _kept(header: Header, cells: Sequence[str], width: int) -> list[str]:
    """Return `cells` without the columns that an earlier errors.csv had added; extra cells of a ragged row stay."""
    added = {index for index, name in enumerate(header.raw[:width]) if name.strip().lower() in REPORT_COLUMNS}
    return [cell for index, cell in enumerate(cells) if index not in added]
