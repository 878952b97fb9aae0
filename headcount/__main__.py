"""The command `headcount`, also as `python -m headcount`.

It loads Headcount's own packages and no others of the same names. Other packages may be called `server` or `keys`
too, and the current folder and PYTHONPATH come before the folder that Headcount is installed in. So its packages are
loaded from the folder that contains this one, whatever comes first. `sys.path` stays as it is: with site-packages
first, other packages would hide modules of the standard library.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

# Nothing else is imported here: until `main` runs, Python answers Ctrl-C with a traceback.

PACKAGES = ("ground", "importer", "keys", "engine", "server")
MARK = 'PART_OF = "headcount"'
"""A line of the `__init__.py` of each package; a package that was installed over it lacks the line."""


class InTheWay(Exception):  # noqa: N818 - a state, not an error
    """A package of Headcount cannot be loaded; the message is a sentence."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    _hold_interrupts()
    try:
        load_own_packages()
    except InTheWay as error:
        sys.exit(f"Error: {error}")
    from server.interrupts import run_to_exit

    run_to_exit(_run)


def _hold_interrupts() -> None:
    """Hold Ctrl-C back until `loading` ends, also one that comes meanwhile."""
    try:
        _hold()
    except KeyboardInterrupt:
        _hold(again=True)


def _hold(*, again: bool = False) -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if again:
        signal.raise_signal(signal.SIGINT)


def _run() -> int:
    from server.interrupts import loading

    with loading():
        from server.cli import main as run
    return run()


def load_own_packages() -> None:
    """Load PACKAGES from the folder that contains this package, so that later imports of these names are Headcount's.

    No code of another package runs. Raises InTheWay.
    """
    from pathlib import Path

    folder = Path(__file__).absolute().parent.parent
    for name in PACKAGES:
        ours = folder / name / "__init__.py"
        if not ours.is_file():
            raise InTheWay(f"the package {name} is missing from {folder}; install Headcount again")
        found = str(getattr(sys.modules[name], "__file__", None) if name in sys.modules else ours)
        if Path(found).resolve() != ours.resolve() or MARK not in ours.read_text(encoding="utf-8").splitlines():
            raise InTheWay(
                f"another package called {name} is in the way ({found});"
                " install Headcount into a virtual environment of its own"
            )
        if name not in sys.modules:
            _load(name, ours)


def _load(name: str, file: Path) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


if __name__ == "__main__":
    main()
