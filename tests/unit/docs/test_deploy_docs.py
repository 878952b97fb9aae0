"""docs/operating.md refers to the files of deploy/ that operators copy, and has no second copy of them."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT
from tests.support.balanced import FILE
from tests.support.proxies import FILES

PROXIES = [*FILES.values(), FILE]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def test_every_file_of_deploy_on_the_page_is_there() -> None:
    named = set(re.findall(r"`(deploy/[\w./-]+)`", PAGE))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("name", PROXIES)
def test_each_proxy_is_on_the_page_with_the_place_that_its_file_names(name: str) -> None:
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    copied = re.search(rf"^\| `deploy/{re.escape(name)}` \| `(/etc/[^`]+)`", PAGE, re.MULTILINE)
    assert copied
    assert f"Copy it to {copied[1]}" in text


def test_the_page_has_no_copy_of_a_configuration_of_a_proxy() -> None:
    on_page = {line.strip() for line in PAGE.splitlines()}
    for name in PROXIES:
        lines = {line.strip() for line in (ROOT / "deploy" / name).read_text(encoding="utf-8").splitlines()}
        assert on_page & lines == {""}
