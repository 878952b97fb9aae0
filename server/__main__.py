"""`python -m server`: the command line of a checkout. The installed command is `headcount.__main__`."""

from __future__ import annotations

from typing import NoReturn

from server.interrupts import loading, run_to_exit


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    run_to_exit(_run)


def _run() -> int:
    with loading():
        from server.cli import main as run
    return run()


if __name__ == "__main__":
    main()
