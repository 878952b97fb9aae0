"""docs/api.md names every operation of the API with an example, every parameter and every code, and no others."""

from __future__ import annotations

import re

from server.web.api.document import METHODS, PREFIX, document
from server.web.api.refusals import CODES
from tests.support import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
TENANT = f"{PREFIX}/tenants/{{tenant}}"
OPERATION = re.compile(rf"^`({'|'.join(METHODS).upper()}) (/[^`]*)` ", re.MULTILINE)
CODE = re.compile(r"^\| `(\w+)` \| (\d+) \|", re.MULTILINE)


def operations() -> dict[tuple[str, str], set[str]]:
    """Return the operations of the document, and the parameters of each that are not in the path."""
    found = {}
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                named = [each["name"] for each in item[method].get("parameters", []) if each["in"] != "path"]
                found[method.upper(), path.removeprefix(TENANT) or path] = set(named)
    return found


def sections() -> dict[tuple[str, str], str]:
    """Return the text about each operation, up to the next one or the next heading."""
    places = list(OPERATION.finditer(PAGE))
    ends = [place.start() for place in places[1:]] + [len(PAGE)]
    return {
        (place[1], place[2]): PAGE[place.start() : end].split("\n#")[0]
        for place, end in zip(places, ends, strict=True)
    }


def test_the_page_and_the_document_name_the_same_operations() -> None:
    assert set(sections()) == set(operations())


def test_every_parameter_of_an_operation_is_named_beside_it() -> None:
    for operation, parameters in operations().items():
        missing = [name for name in parameters if f"`{name}" not in sections()[operation]]
        assert not missing, operation


def test_every_operation_has_an_example() -> None:
    for (method, path), text in sections().items():
        example = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
        assert example, path
        beginning = path.split("{")[0].removeprefix("/")
        assert beginning in example[1]
        assert method in {"GET", "POST"} or f"-X {method}" in example[1]


def test_the_page_and_the_code_name_the_same_codes() -> None:
    assert {code: int(status) for code, status in CODE.findall(PAGE)} == {
        code: status for code, (status, _) in CODES.items()
    }


def test_every_code_is_one_of_some_operation() -> None:
    told = str(document()["paths"])
    everywhere = {"not_found", "bad_method"}
    assert [code for code in CODES if f"`{code}`" not in told and code not in everywhere] == []
