"""`python -m tests.support.unslowed_server serve`: the real server, with a delay of only 1 ms after a wrong token.

For tests that send hundreds of wrong tokens.
"""

from __future__ import annotations

from ground.waits import Growing
from server.__main__ import main
from server.web import slowing

if __name__ == "__main__":
    slowing.WAITS = Growing(0.001, 0.001)
    main()
