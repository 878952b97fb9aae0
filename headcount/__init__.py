"""Headcount for the authors of hooks: all that a hook may import, and `python -m headcount`.

    from headcount import Delivery, Result, hook

    @hook("/invoices/*.csv", name="invoices")
    def invoices(delivery: Delivery) -> Result | None: ...

`headcount.testing` runs hooks on a real server. docs/hooks.md leads to an installed hook step by step.
"""

from headcount.hooks import Delivery, Message, Refuse, Result, Retry, Upload, hook

__all__ = ["Delivery", "Message", "Refuse", "Result", "Retry", "Upload", "__version__", "hook"]

__version__ = "1.0.0"
"""The version of this code, also where it was not installed. pyproject.toml has the same."""
