"""The package `headcount` for authors of hooks: few names, all of them typed and documented."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import headcount
from tests.support import ROOT

HOOK = """
    from headcount import Delivery, Message, Refuse, Result, Retry, Upload, hook

    def check(upload: Upload) -> None:
        with upload.open() as file:
            if b"virus" in file.read():
                raise Refuse("The file has a virus.")

    @hook("/invoices/*.csv", name="invoices", accept=check, timeout_s=60)
    def invoices(delivery: Delivery) -> Result:
        if delivery.attempt == 1:
            raise Retry(60, "The database is closed.")
        delivery.report("lines.txt", b"1")
        return Result("1 invoice", {"invoices": 1}, [Message("warning", "No date.", line=2)])

    @hook("/scans/*", name="scans")
    async def scans(delivery: Delivery) -> None:
        print(delivery.path)

    said: str = invoices.__name__
"""


def test_the_package_exports_the_promised_names() -> None:
    assert headcount.__all__ == ["Delivery", "Message", "Refuse", "Result", "Retry", "Upload", "hook"]


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    names: dict[str, object] = {}
    exec("from headcount import *", names)
    assert {*headcount.__all__} == names.keys() - {"__builtins__"}
    assert {*headcount.__all__, "__version__"} <= {*dir(headcount)}
    assert not hasattr(headcount, "Deliverer")


def test_every_public_name_is_documented() -> None:
    for name in headcount.__all__:
        found = getattr(headcount, name)
        assert inspect.getdoc(found), name
        for each, method in vars(found).items() if inspect.isclass(found) else ():
            assert each.startswith("_") or not inspect.isfunction(method) or inspect.getdoc(method), f"{name}.{each}"


def test_what_a_hook_gets_cannot_be_changed() -> None:
    values = [found for name in headcount.__all__ if dataclasses.is_dataclass(found := getattr(headcount, name))]
    assert len(values) == 4
    assert all(value.__dataclass_params__.frozen for value in values)  # type: ignore[attr-defined]


def test_a_hook_passes_a_strict_check_of_its_types(tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text(dedent(HOOK))
    checked = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "my_hooks.py"]
    ran = subprocess.run(checked, cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.stdout == "Success: no issues found in 1 source file\n"
    wrong = dedent(HOOK).replace('name="invoices", ', "")
    (tmp_path / "my_hooks.py").write_text(wrong)
    ran = subprocess.run(checked, cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True)
    assert 'Missing named argument "name" for "hook"' in ran.stdout


def test_the_package_loads_no_module_of_its_own_before_a_name_is_used() -> None:
    """The command takes over Ctrl-C only after it."""
    code = "import sys; before = {*sys.modules}; import headcount; print({*sys.modules} - before)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "{'headcount'}\n"


def test_the_package_loads_nothing_of_the_server() -> None:
    """A process of a hook stays small."""
    code = "import sys; from headcount import *; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"server", "engine", "importer", "ground", "keys", "asyncio", "pydantic", "sqlite3"} & {
        *ran.stdout.split()
    }
