"""The hooks that a module declares: found alike by the server and by the process of a hook."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, ModuleType

from headcount.hooks import MARK, Declared


def declarations(module: ModuleType) -> Iterator[Declared]:
    """Yield what the functions of a module declare, each function once.

    Nothing but functions is looked at: other objects, such as `django.conf.settings`, may raise an exception for any
    question, also for their class.
    """
    functions = {id(value): value for value in [*vars(module).values()] if type(value) is FunctionType}
    for function in functions.values():
        declared = vars(function).get(MARK)
        if type(declared) is Declared:
            yield declared
