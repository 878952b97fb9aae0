"""The URL of a database in words: never with its password."""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

CHECKS = (
    ("authentication failed", "Check the user and the password in it"),
    ("no password supplied", "It has no password"),
    ("no pg_hba.conf entry", "Allow its user and this machine in pg_hba.conf of PostgreSQL"),
    ("translate host name", "Check the host in it"),
    ("role ", "Check the user in it"),
    ("database ", "Check the name of the database in it, or create it: CREATE DATABASE NAME ENCODING 'UTF8'"),
)
"""Parts of what PostgreSQL says, with what to do. It may say it in another language."""
OTHERWISE = "Check that PostgreSQL runs, and the host and the port in it"


def in_words(url: str) -> str:
    """Return which database the URL names."""
    try:
        facts = conninfo_to_dict(url)
    except ProgrammingError:
        return "the database"
    name = f"the database {facts['dbname']}" if facts.get("dbname") else "the database"
    where = facts.get("host") or facts.get("hostaddr")
    port = f":{facts['port']}" if where and facts.get("port") else ""
    return f"{name} on {where}{port}" if where else name


def what_to_do(said: str) -> str:
    """Return what to do about a connection that could not be made, for a sentence that names the setting."""
    if "unix domain socket" in said.lower() or "connection to server on socket" in said and "FATAL" not in said:
        return OTHERWISE
    return next((do for part, do in CHECKS if part in said), OTHERWISE)
