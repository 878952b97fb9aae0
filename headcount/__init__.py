"""Headcount for the authors of hooks: all that a hook may import, and `python -m headcount`.

    from headcount import Delivery, Result, hook

    @hook("/invoices/*.csv", name="invoices")
    def invoices(delivery: Delivery) -> Result | None: ...

`headcount.testing` runs hooks on a real server. docs/hooks.md leads to an installed hook step by step.
"""

__all__ = ["Delivery", "Message", "Refuse", "Result", "Retry", "Upload", "hook"]

__version__ = "1.0.0"
"""The version of this code, also where it was not installed. pyproject.toml has the same."""

TYPE_CHECKING = False  # checkers of types see True, also without importing typing
if TYPE_CHECKING:
    from headcount.hooks import Delivery, Message, Refuse, Result, Retry, Upload, hook
else:  # loaded on use, because the command takes over Ctrl-C only after this module

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from headcount import hooks

        return getattr(hooks, name)

    def __dir__() -> list[str]:
        return [*globals(), *__all__]
