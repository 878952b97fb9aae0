"""The dashboard of deploy/dashboard.json as a test reads it: its queries with their variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support import ROOT

BOARD: Mapping[str, Any] = json.loads((ROOT / "deploy" / "dashboard.json").read_text(encoding="utf-8"))
VARIABLES: Mapping[str, Mapping[str, Any]] = {each["name"]: each for each in BOARD["templating"]["list"]}

_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def panels() -> list[Mapping[str, Any]]:
    return [each for each in BOARD["panels"] if each["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query with the title of its panel; that of annotations is the last."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for each in BOARD["annotations"]["list"]:
        yield each["name"], each["expr"]


def filled_in(query: str, *, rate: str = "1m") -> str:
    """Return the query as Grafana sends it if "All" is chosen everywhere."""
    query = query.replace("$__rate_interval", rate)
    for name, variable in VARIABLES.items():
        query = query.replace(f"${name}", variable.get("allValue", ""))
    assert "$" not in query, query
    return query


def of_variables() -> Iterator[tuple[str, str]]:
    """Yield what each variable reads: the samples, and the label whose values it offers."""
    for variable in VARIABLES.values():
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert found, variable
            yield filled_in(found[1]), found[2]
