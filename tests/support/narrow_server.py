"""`python -m tests.support.narrow_server serve`: the real server, limited to NARROW_TO descriptors."""

from __future__ import annotations

import os
import resource

from server.__main__ import main

if __name__ == "__main__":
    most = int(os.environ["NARROW_TO"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most // 2, most))
    main()
