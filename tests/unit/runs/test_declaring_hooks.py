"""The decorator `@hook`: what it accepts, and its words about what it refuses."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from headcount import Delivery, Result, Upload, hook
from headcount.hooks import MARK, Declared


class Table(BaseModel):
    table: str = "invoices"


class NoDefault(BaseModel):
    table: str


def takes_it(delivery: Delivery) -> Result | None:
    return None


def declared(path: str = "/invoices/*.csv", *, name: str = "invoices", **options: Any) -> Declared:
    def function(delivery: Delivery) -> None: ...

    found = getattr(hook(path, name=name, **options)(function), MARK)
    assert isinstance(found, Declared)
    assert found.function is function
    return found


def test_a_decorated_function_is_returned_unchanged() -> None:
    def function(delivery: Delivery) -> Result:
        return Result("1 invoice")

    assert hook("/invoices/*.csv", name="invoices")(function) is function


def test_a_hook_has_the_promised_defaults() -> None:
    found = declared()
    assert (found.path, found.name, found.accept) == ("/invoices/*.csv", "invoices", None)
    assert (found.accept_timeout_s, found.timeout_s) == (10, 600)
    assert (found.isolation, found.max_memory_bytes, found.settings) == (None, None, None)


def test_a_hook_keeps_all_that_it_was_told() -> None:
    def check(upload: Upload) -> None: ...

    options: dict[str, Any] = {
        "accept": check,
        "accept_timeout_s": 2.5,
        "timeout_s": 60,
        "isolation": "process",
        "max_memory_bytes": 512 * 1024**2,
        "settings": Table,
    }
    found = declared("/a b/é[1].csv", name="a_1", **options)
    assert {name: getattr(found, name) for name in options} == options


@pytest.mark.parametrize(
    "path",
    ["/a", "/*", "/*/in/*.csv", "/a/b*c*.csv", "/resultsfolder/a", "/a/results", "/" + "x" * 255, "/a" * 64],
)
def test_a_path_of_a_file_is_accepted(path: str) -> None:
    assert declared(path).path == path


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("invoices.csv", "path must begin with /, such as /invoices/"),
        (None, "path must begin with /"),
        ("/", "without empty parts"),
        ("/invoices/", "without empty parts"),
        ("/a//b", "without empty parts"),
        ("/a/../b", "without empty parts"),
        ("/./b", "without empty parts"),
        ("/a\nb", "printable"),
        ("/a\ud800", "printable"),
        ("/**/b.csv", r"\*\* has no meaning"),
        ("/results/b.csv", "only the server writes there"),
        ("/results", "only the server writes there"),
        ("/" + "é" * 128, "at most 64 parts of at most 255 bytes"),
        ("/a" * 65, "at most 64 parts of at most 255 bytes"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        declared(path)


@pytest.mark.parametrize("name", ["", "Invoices", "1st", "a-b", "x" * 32, "a b", "é", "a\n", None])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="hook: name must be 1 to 31 of a-z, 0-9 and _, a letter first, not"):
        declared(name=name)


def test_the_name_sync_users_is_refused() -> None:
    with pytest.raises(ValueError, match="sync_users belongs to Headcount"):
        declared(name="sync_users")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout_s": 0}, "timeout_s must be a number of seconds above 0"),
        ({"timeout_s": float("nan")}, "timeout_s must be"),
        ({"timeout_s": float("inf")}, "timeout_s must be"),
        ({"timeout_s": True}, "timeout_s must be"),
        ({"timeout_s": "60"}, "timeout_s must be"),
        ({"accept_timeout_s": -1}, "accept_timeout_s must be"),
        ({"isolation": "thread"}, "isolation must be \"process\" or None, not 'thread'"),
        ({"max_memory_bytes": 512}, "at least 67,108,864"),
        ({"max_memory_bytes": 1e9}, "whole number of bytes"),
        ({"settings": Table()}, "must be a class that extends pydantic.BaseModel"),
        ({"settings": dict}, "must be a class that extends pydantic.BaseModel"),
        ({"settings": NoDefault}, "the field table of settings needs a default"),
        ({"accept": "check"}, "accept must be a function"),
        ({"accept": lambda: None}, "accept must take one argument, the upload"),
    ],
)
def test_a_wrong_option_is_refused_by_the_name_of_the_hook(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^hook invoices: .*{said}"):
        declared(**options)


def test_what_is_not_a_function_of_one_argument_is_refused() -> None:
    def of_two(delivery: Delivery, more: int) -> None: ...

    def generator(delivery: Delivery) -> Iterator[int]:
        yield 1

    async def async_generator(delivery: Delivery) -> AsyncIterator[int]:
        yield 1

    class Called:
        def __call__(self, delivery: Delivery) -> None: ...

    wrong: list[tuple[Any, str]] = [
        (of_two, "of_two must take one argument, the delivery"),
        (lambda: None, "must take one argument"),
        (generator, "cannot contain yield"),
        (async_generator, "cannot contain yield"),
        (Called(), "decorate a function"),
        (functools.partial(of_two, more=1), "decorate a function"),
        (len, "decorate a function"),
    ]
    for function, said in wrong:
        with pytest.raises(ValueError, match=said):
            hook("/a", name="a")(function)


def test_a_function_is_one_hook() -> None:
    function = hook("/a", name="a")(lambda delivery: None)
    with pytest.raises(ValueError, match="hook b: <lambda> is already the hook a"):
        hook("/b", name="b")(function)


def test_a_limit_of_memory_needs_a_process() -> None:
    async def function(delivery: Delivery) -> None: ...

    with pytest.raises(ValueError, match='add isolation="process"'):
        hook("/a", name="a", max_memory_bytes=2**30)(function)
    hook("/a", name="a", max_memory_bytes=2**30, isolation="process")(function)
