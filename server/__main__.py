"""`python -m server`: the command line of a checkout. The installed command is `headcount.__main__`."""

from __future__ import annotations

import sys

from server.cli import main as run


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
