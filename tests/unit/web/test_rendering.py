"""Templates are compiled before the first page that needs them."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from server.web.pages import rendering


def test_no_page_compiles_a_template_after_they_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    rendering.prepare()

    def compile_again(*_: object, **__: object) -> None:
        raise AssertionError("a template is compiled")

    monkeypatch.setattr(Environment, "compile", compile_again)
    names = sorted(path.name for path in (rendering.STATIC.parent / "templates").iterdir())
    assert names
    for name in names:
        rendering._templates.get_template(name)
