"""Write the invoices that tenants send into a SQLite table."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from contextlib import closing
from decimal import Decimal, InvalidOperation

from pydantic import BaseModel

from headcount import Delivery, Message, Result, Retry, hook

COLUMNS = ("number", "customer", "amount")
TABLE = """
CREATE TABLE IF NOT EXISTS invoices (
    tenant TEXT, number TEXT, customer TEXT, amount TEXT, currency TEXT, PRIMARY KEY (tenant, number)
)
"""
WRITE = "INSERT OR REPLACE INTO invoices VALUES (?, ?, ?, ?, ?)"

Row = dict[str, str]


class Settings(BaseModel):
    """The settings of a tenant."""

    currency: str = "EUR"


@hook("/invoices/*.csv", name="invoices", settings=Settings)
def invoices(delivery: Delivery) -> Result:
    """Add the invoices of a file to the table. One that is there already is replaced."""
    with delivery.open() as file:
        rows, rejected, messages = read(io.TextIOWrapper(file, "utf-8-sig", "replace", newline=""))
    with closing(sqlite3.connect(os.environ["INVOICES_DATABASE"], timeout=0.5)) as database:
        try:
            with database:
                database.execute(TABLE)
                database.executemany(WRITE, [(delivery.tenant, *row, delivery.settings.currency) for row in rows])
        except sqlite3.OperationalError as error:
            raise Retry(60, "The table of invoices is busy.") from error
    if rejected:
        delivery.report("rejected.csv", as_csv(rejected))
    counts = {"stored": len(rows), "rejected": len(rejected)}
    return Result(f"Stored {len(rows)} of {len(rows) + len(rejected)} invoices.", counts, messages)


def read(file: io.TextIOBase) -> tuple[list[list[str]], list[Row], list[Message]]:
    """Return the good rows of a file, the rejected rows, and the reasons."""
    rows, rejected, messages = [], [], []
    reader = csv.DictReader(file, restval="")
    for name in COLUMNS:
        if name not in (reader.fieldnames or ()):
            return [], [], [Message("error", f"Column {name} is missing. Add it.", "missing_column", line=1)]
    for row in reader:
        problem = problem_of(row, reader.line_num)
        if problem is None:
            rows.append([row[name] for name in COLUMNS])
        else:
            rejected.append({name: row[name] for name in COLUMNS})
            messages.append(problem)
    return rows, rejected, messages


def problem_of(row: Row, line: int) -> Message | None:
    """Return why a row is rejected; None if it is good."""
    if not row["number"]:
        return Message("error", "The number is missing.", "missing_number", line, "number")
    try:
        amount = Decimal(row["amount"])
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        return Message("error", f"“{row['amount']}” is not an amount. Write 12.50.", "bad_amount", line, "amount")
    return None


def as_csv(rows: list[Row]) -> bytes:
    """Return rows as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
