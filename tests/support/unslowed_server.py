"""`python -m tests.support.unslowed_server serve`: the real server, but wrong tokens wait no time to speak of.

For whoever shows hundreds of them on purpose.
"""

from __future__ import annotations

from ground.waits import Growing
from server.__main__ import main
from server.web import slowing

if __name__ == "__main__":
    slowing.WAITS = Growing(0.001, 0.001)
    main()
