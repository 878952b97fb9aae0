"""The process of a hook, started by the server as `python -P _process.py DESCRIPTOR`. Not for hooks.

It imports modules as the server does: first Headcount's own packages, then the hook's module by the server's
`sys.path`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))
    from headcount.__main__ import load_own_packages

    load_own_packages()
    del sys.path[0]
    from server.runs.python.child import main

    main(int(sys.argv[1]))
