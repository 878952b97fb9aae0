"""The help: documents become pages with GitHub's anchors, and every link to a section leads to one that exists."""

from __future__ import annotations

import re
from html import unescape

import pytest

from server.settings import ServerSettings
from server.tenants.settings import TenantSettings
from server.web.api.refusals import CODES
from server.web.pages.help.book import DOCS, PICTURES, SAMPLE, TOPICS, book, link_to, picture_of
from server.web.pages.help.markdown import Document, Picture, anchor_of, rendered
from tests.support import ROOT
from tests.unit.docs.test_errors_docs import codes_in_the_program
from tests.unit.test_readme import anchors as anchors_of_github

TEMPLATES = ROOT / "server" / "web" / "pages" / "templates"
LINK = re.compile(r"/help/([\w-]+)(?![\w.-]*\.csv)(?:#([\w.-]+))?")


def document(source: str) -> Document:
    return rendered(f"# Title\n\n{source}", link_to, lambda path: Picture(f"/{path}", 20, 10))


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ("First and last lines", "first-and-last-lines"),
        ("The file: sync_users.csv", "the-file-sync_userscsv"),
        ("A full disk, or none?", "a-full-disk-or-none"),
        ("Zoë's key-pair", "zoës-key-pair"),
    ],
)
def test_a_heading_has_the_anchor_of_github(text: str, anchor: str) -> None:
    assert anchor_of(text) == anchor


@pytest.mark.parametrize("name", TOPICS)
def test_all_headings_of_a_document_have_the_anchors_of_github(name: str) -> None:
    found = book()[name]
    on_github = anchors_of_github(DOCS / f"{name}.md")
    shown = {found.title.anchor, *(each.anchor for each in found.headings)}
    assert shown <= found.anchors
    assert shown <= on_github
    prose = re.sub(r"```.*?```", "", text_of(name), flags=re.DOTALL)
    written = re.findall(r"^###? (.+)$", prose, re.MULTILINE)
    assert [each.anchor for each in found.headings] == [anchor_of(heading) for heading in written]


def text_of(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def test_the_title_is_not_in_the_text_and_the_contents_are_nested() -> None:
    found = document("## A `b`\n\n### C\n\n## D\n\ntext")
    assert (found.title.text, found.title.anchor) == ("Title", "title")
    assert [(a.text, [b.anchor for b in inner]) for a, inner in found.contents] == [("A b", ["c"]), ("D", [])]
    assert found.html.startswith('<h2 id="a-b">A <code>b</code></h2>')
    assert "Title" not in found.html


def test_a_second_heading_or_code_of_a_name_gets_a_number() -> None:
    table = "| code | why |\n|---|---|\n| `undo` | x |\n| `late` | y |\n| `late` | z |\n| `two` words | z |\n"
    found = document(f"{table}\n## Undo\n\n## Undo")
    assert re.findall(r'<tr id="([^"]+)"', found.html) == ["undo-2", "late", "late-1"]
    assert found.anchors == {"title", "undo", "undo-1", "undo-2", "late", "late-1"}


def test_html_in_a_document_is_text() -> None:
    html = document("<script>alert(1)</script>\n\n| a |\n|---|\n| <img src=x> |\n\n    <b>\n\n[x](javascript:x)").html
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html
    assert "href" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("settings.md", "/help/settings"),
        ("settings.md#identifier", "/help/settings#identifier"),
        ("#users", "#users"),
        ("https://example.com/a.md", "https://example.com/a.md"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ("sync_users.csv", "/help/sync_users.csv"),
        ("../README.md", None),
        ("architecture.md#ideas", None),
        ("performance.md", None),
    ],
)
def test_a_link_between_documents_leads_to_the_page_of_the_help(address: str, target: str | None) -> None:
    assert link_to(address) == target
    html = document(f"See [the *page*]({address}) now.").html
    shown = f'<a href="{target}">the <em>page</em></a>' if target else "the <em>page</em>"
    assert html == f"<p>See {shown} now.</p>\n"


def test_a_table_is_in_a_box_and_its_cells_have_the_names_of_their_columns() -> None:
    html = document("## Codes\n\n| code | what to *do* | |\n|---|---|---|\n| `a` | b `c\\|d` | e |\n").html
    assert '<div class="table" tabindex="0" role="region" aria-label="Codes">\n<table class="stack">' in html
    assert '<th scope="col">code</th>\n<th scope="col">what to do</th>\n<td></td>' in html.replace(
        "<em>do</em>", "do"
    )
    assert '<tr id="a">\n<td class="full"><code>a</code></td>' in html
    assert '<td class="full" data-label="what to do">b <code>c|d</code></td>\n<td class="full">e</td>' in html


def test_two_tables_below_one_heading_have_different_names() -> None:
    table = "\n| a |\n|---|\n| b |\n"
    assert re.findall('aria-label="([^"]+)"', document(f"## X\n{table}\ntext\n{table}").html) == ["X", "X-1"]


def test_code_can_be_scrolled_by_keyboard() -> None:
    html = document("```csv\na,<b>\n```\n\n    indented\n").html
    assert html == (
        '<pre tabindex="0"><code>a,&lt;b&gt;\n</code></pre>\n<pre tabindex="0"><code>indented\n</code></pre>\n'
    )


def test_a_picture_has_its_size_and_its_words() -> None:
    assert document("![A *held* import](images/held.png)").html == (
        '<p><img src="/images/held.png" alt="A held import" loading="lazy" width="20" height="10" /></p>\n'
    )
    assert re.fullmatch(r"/help/images/held\.png\?v=[0-9a-f]{12}", picture_of("images/held.png").address)
    assert picture_of("images/held.png").width > 300


@pytest.mark.parametrize("name", TOPICS)
def test_every_link_inside_the_help_leads_to_a_page_and_an_anchor(name: str) -> None:
    html = book()[name].html
    links = re.findall(r'(?:href|src)="([^"]+)"', html)
    assert links
    for link in map(unescape, links):
        if re.match("https?:", link):
            continue
        if link.startswith("/help/images/"):
            assert (PICTURES / link.removeprefix("/help/images/").partition("?")[0]).is_file(), link
            continue
        target, _, anchor = link.partition("#")
        if target == f"/help/{SAMPLE}":
            continue
        page = target.removeprefix("/help/") or name
        assert not anchor or anchor in book()[page].anchors, link


@pytest.mark.parametrize("name", TOPICS)
def test_a_link_has_the_title_of_a_page_and_not_the_name_of_a_file(name: str) -> None:
    assert re.findall(r"<a [^>]*>[^<]*\.md</a>", book()[name].html) == []


@pytest.mark.parametrize("name", TOPICS)
def test_every_anchor_of_a_page_exists_once(name: str) -> None:
    found = book()[name]
    ids = re.findall(r' id="([^"]+)"', found.html)
    assert sorted([*ids, found.title.anchor]) == sorted(found.anchors)


def test_every_message_code_has_its_anchor() -> None:
    assert sorted(codes_in_the_program() - book()["errors"].anchors) == []


def test_every_code_of_a_problem_of_the_api_has_its_anchor() -> None:
    assert sorted(CODES.keys() - book()["api"].anchors) == []


def test_every_setting_has_its_anchor() -> None:
    names = {*TenantSettings.model_fields, *(name.upper() for name in ServerSettings.model_fields)}
    assert sorted(names - book()["settings"].anchors) == []


PAGES = [
    file.name for file in sorted(TEMPLATES.iterdir()) if '{% extends "layout.html" %}' in file.read_text("utf-8")
]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_its_topic_of_the_help(name: str) -> None:
    source = (TEMPLATES / name).read_text(encoding="utf-8")
    assert source.count("{% block help %}") == 1, "a page without its section in the help"
    topic = source.split("{% block help %}")[1].split("{% endblock %}")[0]
    assert LINK.search(topic) or name in {"help.html", "help-topic.html", "problem.html"}, topic


def test_every_link_of_a_template_to_the_help_leads_to_an_anchor() -> None:
    found = []
    for file in sorted(TEMPLATES.iterdir()):
        source = file.read_text(encoding="utf-8")
        links = LINK.findall(source) + re.findall(r'help_link\("([\w-]+)", "([\w.-]+)"', source)
        found += [(file.name, topic, anchor) for topic, anchor in links if "images" not in topic]
    assert len(found) > 10
    assert [
        each for each in found if each[1] not in TOPICS or (each[2] and each[2] not in book()[each[1]].anchors)
    ] == []


def test_a_document_outside_the_help_is_not_a_page() -> None:
    assert not TOPICS.keys() & {"architecture", "promises", "performance", "words"}
    assert all((DOCS / f"{name}.md").is_file() for name in TOPICS)
    assert (DOCS / SAMPLE).is_file()
