"""`headcount`, also as `python -m headcount`: loads the packages of Headcount, and no others of their names.

Other packages may be called `server` or `keys` too, and the current folder and PYTHONPATH come before the folder that
Headcount is installed in. So these packages are loaded from the folder that holds this one, whatever comes first.
`sys.path` stays as it is: with site-packages at its head, other packages would hide modules of the standard library.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

FOLDER = Path(__file__).absolute().parent.parent
PACKAGES = ("ground", "importer", "keys", "engine", "server")
MARK = 'PART_OF = "headcount"'
"""A line of the `__init__.py` of each: one that was installed over it does not have that."""


class InTheWay(Exception):  # noqa: N818 - what is the case
    """A package of Headcount cannot be loaded; the message is a sentence."""


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        load_own_packages()
    except InTheWay as error:
        sys.exit(f"Error: {error}")
    from server.cli import main as run

    sys.exit(run())


def load_own_packages() -> None:
    """Load PACKAGES from FOLDER, so that whatever is imported from them later is Headcount's. Raises InTheWay.

    Nothing is run of another package.
    """
    for name in PACKAGES:
        ours = FOLDER / name / "__init__.py"
        if not ours.is_file():
            raise InTheWay(f"the package {name} is missing from {FOLDER}; install Headcount again")
        found = str(getattr(sys.modules[name], "__file__", None) if name in sys.modules else ours)
        if Path(found).resolve() != ours.resolve() or MARK not in ours.read_text(encoding="utf-8").splitlines():
            raise InTheWay(
                f"another package called {name} is in the way ({found});"
                " install Headcount into a virtual environment of its own"
            )
        if name not in sys.modules:
            _load(name, ours)


def _load(name: str, file: Path) -> None:
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


if __name__ == "__main__":
    main()
