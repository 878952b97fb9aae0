"""No text of Headcount uses a word, a label or a sentence that a plainer one has replaced."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.sentences import AVERAGE_WORDS, MOST_WORDS
from tests.support.texts import Kind, Text, of_markdown, of_python, of_template, texts_of

PRODUCT = ["ground", "keys", "importer", "engine", "server", "headcount"]
PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "deploy"]
CODE = [*PRODUCT, "benchmarks", "deploy", "tests"]
EXCLUDED = {"tests.support.texts.py", "tests/unit/docs/test_wording.py"}
"""They quote the words that they search for."""

INSTEAD: dict[str, str] = {
    "name the actor": r"(?:some|any|no|every)body|someone|everyone|anyone|no one|who(?:so)?ever|whom(?:ever)?",
    "checksum, email": r"check-sums?|e-mail(?:s|ed|ing)?",
    "fix": r"mend(?:s|ed|ing|able)?",
    "cannot, does not": r"(?:can|do|does|did|is|are|was|were|has|have|had|wo|would|could|should|must)n?['’]t|can not"
    r"|(?:it|that|there|what|who|he|she|let)['’]s|(?:it|they|you|we)['’](?:ll|re|ve)",
    "interrupted": r"br[eo]ak(?:s|ing)? off|broken? off",
    "held, or queued": r"waits? for (?:you|your decision|a decision|(?:its|their) turn)",
    "complete list": r"whole lists?",
    "Headcount, or the server": r"ours|our (?:own|side|words|fault|faults)",
    "undo, set back or requeue": r"(?:put|puts|putting|gives?|given) (?:\w+ )?back",
    "revoke, or undo": r"(?:take|takes|taken|took) (?:\w+ )?back",
    "rejected, or refused": r"(?:not|never) taken",
    "US spelling": r"(?:colour|behaviour|centre|favour|honour|neighbour|catalogue|licence)s?(?:ed|ing|ite)?"
    r"|(?:recogni|normali|authori|organi|seriali|initiali|summari|minimi|optimi)s(?:e[sd]?|ing|ations?)"
    r"|(?:mis)?spelt|cancelled|cancelling|labelled|whilst|learnt",
    "identifier": r"(?:tells?|told) (?:people|users|them|persons) apart|what tells",
    "delete by retention (prune)": r"forgets?|forgot(?:ten)?|forgetting",
    "custom field": r"fields? of (?:one|your|their|its|the company|a company)(?:['’]s)? own|own fields?",
    "notification, or message": r"(?:who|what|of) (?:is|was) (?:told|said)",
    "returning, or reactivated": r"(?:come|comes|coming|came) back",
    "deactivated": r"lo(?:ses?|st|sing) access",
    "is not a": r"(?<!there )(?:is|are|was|were|be) no\b(?! (?:more|longer|later|older|other|greater)\b)",
    "test, or dry run": r"try (?:a|an|the|this) (?:\w+ )?(?:file|list|setting)s?|tr(?:y|ies|ied) out|trials?",
    "delimiter": r"(?<!decimal )(?<!thousands )separators?",
    "newest, or previous": r"(?:in|from|since|before|of|to|by|on|the) last (?:import|upload|list)",
    "users": r"(?:\d[\d,]*|X) people",
}
"""The text to write instead -> a pattern of the replaced words, which match as whole words in any case."""

SENTENCES = """
knows what a user list is | Each import is all or nothing | What the HR person does | What the operator does
What is forgotten | What an import can end as | What an import answers | When the whole file fails
What else may be said | For those who send the files | Rows that were not taken | What could not be done
What it stands on | What was measured | The next file is not told | Try on the last file | Look and decide
Approve: let it run | Put them into the form | Change them further | Who changed what
Who changed which setting | What there is to say about the file | Who would lose | Who would join
From what to what | What would happen, in numbers | Other settings may fit | No setting can mend
What the undo left as it was | The file as it came | Somebody who is not kept | Make a pair of keys
Whose key it is | Only from these addresses | The server proves itself | Nobody can send files
No file has come yet | Nobody was found | No company was found | There are no users yet
There are no companies yet | No setting was ever changed | Only those that need somebody
The server is not well | Back to the beginning | An owner can do this | This token opens nothing
You may only look | Your changes are saved | The next import obeys them | Nothing was different, so
it runs as soon as it is its turn | The undo has begun | One setting makes no sense
Somebody else has changed the settings | There is nothing here. | This is not for you. | people joined
rows were not taken | row was not taken | Everybody is as the file says | so it waits for you
waits for its turn | is being tried | This was only tried | What tells people apart
What your columns are called | What your values mean | The last line must be finished
Wait if the file may have been cut | Most deactivations | Deactivations that are always fine
Room for your files | please decide | If that is right, approve | What became of the files
a held import of TENANT run after all | never run a held import | Put back what an applied
Not more than this many | Give up after so long | can no longer log in with | may log in with X
opens nothing any more | this ends the tenant | wants to be told nowhere | waits, and no server runs
because of a fault of ours | nobody can log in as | the last known hold | What is too old of | will be made anew
What becomes of one row | Forget what is too old | Why the file may not be whole
The file is visible and its copy | Who was named last in the file | nobody is at fault
What an exception that is an answer means | Let somebody who showed a wrong token wait | The ends that are told
Two owners with the same form open | somebody comes twice | Nobody gets the number
Whoever has to wait for an address | A row that gave a warning is remembered by nobody
A link found by an address | Who was somebody when | Whoever is removed may leave a number
Nobody waits for a dry run | Whoever read us has seen enough | This opens every users.db | and nobody else
brought in line with it | missing. The first line must name | a quote is missing or too many
in its last line (X), which is not complete | is not the one that X was made of | and the settings require one
because of a fault in Headcount | there was a fault in Headcount | ended each time before it did
Type the text anew | can tell which is which | is deactivated all the same; this field
is unknown and is ignored | If names are garbled now | by something else since | belongs to somebody else now
not as it was when you looked | changed nobody | send the whole file again | Nothing needs to be done
The check-sum was not taken
"""
"""Whole phrases that were replaced, in any text, without regard to case."""

LABELS = """
Connections at once | What a blank cell means | Character between cells | Running it | Is it up | Who you are
Being told | Try a file | Try it | Look | Discard this file | What is wrong | In the file | What changed
In numbers | Taken back | Last day | No import here | Go on | E-mail | Team | Further teams | What is it
Let it run | Drop it | Mend | Try
"""
"""Short labels that were replaced: compared with whole labels, headings and buttons of pages."""

TEST_NAMES = """
two_swap_and_three_turn | a_wrong_name_is_not_silence | whoever_reads_nothing_is_not_waited_for
what_is_no_network_is_refused | a_stranger_is_sent_away_before_anything_is_read
"""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("importer/file/", "e-mail"): "header cells of users' files",
    ("importer/rules/", "e-mail"): "words of users' files",
    ("docs/from-your-hr-system.md", "e-mail"): "header cells of other systems",
    ("docs/file-format.md", "separator"): "the name of a setting of Windows",
    ("server/web/crowd.py", "10 people"): "human beings behind one address",
    ("importer/reconcile/plan.py", "what to do with one row"): "the noun for a class",
}
"""Path prefix and found words -> why they stay."""


@cache
def texts() -> list[tuple[str, Text]]:
    """Every text with its file: the prose of pages, the messages of the product, and docstrings and comments."""
    found = []
    for name in sorted({*PAGES, *CODE}):
        for file in [ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*")):
            path = file.relative_to(ROOT).as_posix()
            if file.is_file() and path not in EXCLUDED and "node_modules" not in path:
                kinds = _kinds_checked(path)
                found += [(path, text) for text in texts_of(file, messages="message" in kinds) if text.kind in kinds]
    return found


def _kinds_checked(path: str) -> set[Kind]:
    """Strings of tests and benchmarks are data, not texts."""
    kinds: set[Kind] = {"docstring", "comment", "test name"}
    if path.split("/")[0] not in {"tests", "benchmarks"}:
        kinds |= {"prose", "message"}
        if not path.endswith(".py") or path.startswith(("server/web/", "server/tenants/")):
            kinds.add("label")
    return kinds


def places(found: Iterator[tuple[str, Text, str, str]]) -> str:
    """Return one line for each place that no exception allows."""
    lines = []
    for path, text, words, why in found:
        allowed = (path.startswith(start) and words.lower().startswith(each) for start, each in EXCEPTIONS)
        if not any(allowed):
            lines.append(f"{path}:{text.line}: {text.kind} “{words}”: {why}")
    return "\n".join(sorted(set(lines)))


def phrases(listed: str) -> list[str]:
    return [phrase.strip() for line in listed.strip().splitlines() for phrase in line.split("|")]


def read_as_words(text: Text) -> str:
    return text.text.replace("_", " ") if text.kind == "test name" else " ".join(text.text.split())


def whole(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


def replaced(pattern: str, instead: str) -> Iterator[tuple[str, Text, str, str]]:
    for path, text in texts():
        for match in whole(pattern).finditer(read_as_words(text)):
            yield path, text, match[0], instead


def openings(text: Text) -> list[str]:
    """Return the sentences that open with Who, What or Of and are not questions."""
    if text.kind == "test name":
        return []
    return [
        each for each in text.sentences() if re.match(r"(?:Who|What|Whose|Of)\b", each) and not each.endswith("?")
    ]


def long_sentences(text: Text) -> list[str]:
    if text.kind not in {"message", "label"}:
        return []
    return [each for each in text.sentences() if len(each.split()) > MOST_WORDS]


@pytest.mark.parametrize("instead", INSTEAD)
def test_no_text_uses_a_replaced_word(instead: str) -> None:
    found = places(replaced(INSTEAD[instead], instead))
    assert found == "", f"\n{found}"


def test_no_text_uses_a_replaced_sentence() -> None:
    found = places(replaced("|".join(re.escape(each) for each in phrases(SENTENCES)), "this sentence was replaced"))
    assert found == "", f"\n{found}"


def test_no_page_uses_a_replaced_label() -> None:
    old = {*phrases(LABELS), *phrases(SENTENCES)}
    labels = ((path, text) for path, text in texts() if text.kind == "label")
    found = places((path, text, text.text, "replaced") for path, text in labels if text.text.strip(" .:") in old)
    assert found == "", f"\n{found}"


def test_no_test_has_a_replaced_name() -> None:
    names = {f"test_{name}" for name in phrases(TEST_NAMES)}
    found = places((path, text, text.text, "replaced") for path, text in texts() if text.text in names)
    assert found == "", f"\n{found}"


def test_no_statement_opens_with_who_what_or_of() -> None:
    found = places((path, text, each[:60], "subject first") for path, text in texts() for each in openings(text))
    assert found == "", f"\n{found}"


def test_no_test_name_is_longer_than_80_characters() -> None:
    names = ((path, text) for path, text in texts() if text.kind == "test name")
    found = places((path, text, text.text, "at most 80 characters") for path, text in names if len(text.text) > 80)
    assert found == "", f"\n{found}"


def test_no_sentence_of_a_page_or_message_is_longer_than_30_words() -> None:
    found = places(
        (path, text, each[:60], f"{len(each.split())} words")
        for path, text in texts()
        for each in long_sentences(text)
    )
    assert found == "", f"\n{found}"


def test_sentences_of_pages_and_messages_have_at_most_15_words_on_average() -> None:
    lengths = [
        len(each.split()) for path, text in texts() if text.kind in {"message", "label"} for each in text.sentences()
    ]
    assert sum(lengths) / len(lengths) <= AVERAGE_WORDS


def test_texts_of_every_kind_are_read() -> None:
    kinds = Counter(text.kind for _, text in texts())
    assert set(kinds) == {"prose", "label", "message", "docstring", "comment", "test name"}
    assert min(kinds.values()) > 100, kinds


def test_prose_is_read_without_code_and_cell_by_cell() -> None:
    source = "# A `name`\n\nTwo lines\nof it.\n\n    code = 1\n\n| a | [b](c.md) |\n\n```\ncode\n```\n"
    assert [(each.line, each.text) for each in of_markdown(source)] == [
        (1, "A X"), (3, "Two lines of it."), (8, "a"), (8, "b"),
    ]  # fmt: skip


def test_a_template_is_read_as_it_is_shown() -> None:
    source = '<h1>Users</h1>\n<p>{{ count }} <b>new</b>\nrows</p>{{ button("Try it") }}<input placeholder="a word">'
    assert [(each.line, each.text) for each in of_template(source)] == [
        (3, "Try it"),
        (3, "a word"),
        (1, "Users"),
        (2, "X new rows"),
        (3, "X"),
    ]


def test_python_is_read_by_docstring_message_name_and_comment() -> None:
    source = '"""Says so."""\n\n# A reason,\n# in two lines.\ndef test_it():\n    raise E(f"no such {x} at all")\n'
    assert {(each.line, each.kind, each.text) for each in of_python(source)} == {
        (1, "docstring", "Says so."),
        (3, "comment", "A reason, in two lines."),
        (5, "test name", "test_it"),
        (6, "message", "no such X at all"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "Nobody came.",
        "It can't.",
        "the check-sum",
        "This is no file.",
        "a colour",
        "3 people",
        "we put it back",
        "trials",
    ],
)
def test_a_replaced_word_is_found(text: str) -> None:
    assert any(whole(pattern).search(text) for pattern in INSTEAD.values())


@pytest.mark.parametrize(
    "text", ["There is no shell.", "the decimal separator", "No key is left.", "cannot", "emails"]
)
def test_a_word_that_stays_is_not_found(text: str) -> None:
    assert not any(whole(pattern).search(text) for pattern in INSTEAD.values())


def test_every_file_of_an_exception_exists() -> None:
    assert [path for path, _ in EXCEPTIONS if not Path(ROOT / path).exists()] == []
