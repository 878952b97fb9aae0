"""The URL of a database: in words, which never have its password, and its hosts."""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

FREE = (
    "End programs that keep connections open, or raise the limit: max_connections, CONNECTION LIMIT of the user or "
    "the database, or max_client_conn of pgbouncer"
)

CHECKS = (
    ("connection slots are reserved", FREE),
    ("too many clients", FREE),
    ("too many connections for", FREE),
    ("no more connections allowed", FREE),
    ("authentication failed", "Check the user and the password in the URL"),
    ("no password supplied", "Add the password to the URL"),
    ("no pg_hba.conf entry", "Allow the user and this machine in PostgreSQL's pg_hba.conf"),
    ("resolve host", "Check the host in the URL"),
    ("translate host name", "Check the host in the URL"),
    ('role "', "Check the user in the URL"),
    ('database "', "Check the name of the database in the URL, or create it: CREATE DATABASE NAME ENCODING 'UTF8'"),
)
"""Parts of what PostgreSQL says, with what to do. It may say it in another language."""
OTHERWISE = "Check that PostgreSQL runs, and the host and the port in the URL"


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


def each_host(url: str) -> list[str]:
    """Return, with its password, what to connect to for each host that the URL names, one at a time."""
    facts = conninfo_to_dict(url)
    lists = {name: str(facts[name]).split(",") for name in ("host", "hostaddr", "port") if facts.get(name)}
    count = max((len(each) for each in lists.values()), default=1)
    alone = [{name: values[number % len(values)] for name, values in lists.items()} for number in range(count)]
    return [make_conninfo(url, **each) for each in alone]


def what_to_do(said: str) -> str:
    """Return what to do about a connection that could not be made: `said` is the reason that was given."""
    return next((do for part, do in CHECKS if part in said), OTHERWISE)
