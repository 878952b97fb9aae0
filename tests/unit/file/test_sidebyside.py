"""A file read side by side with the previous one: known lines were in that file, and no line is lost."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.file.blocks import Block, PreviousFile
from importer.file.sidebyside import Pieces, SideBySide

HEADER = b"name,email\n"
LINES = [f"P{number},p{number}@x.org\n".encode() for number in range(60)]
ODD = [b"\n", b'"a\n', b'b",c\n', b'"x ""y""",z\n', b"a\r\n", b'"', b"same\n", b"same\n"]


def before(lines: list[bytes], *, unsettled: frozenset[int] = frozenset()) -> PreviousFile:
    """Return a previous file with these lines after the header; line 1 after it settled user 1, and so on."""
    text = HEADER + b"".join(lines)
    users = array("i", [0, 0])
    is_open = False
    for number, line in enumerate(text.split(b"\n")[1:-1], 1):
        odd = bool(line.count(b'"') & 1)
        users.append(0 if is_open or odd or not line.strip() or number in unsettled else number)
        is_open ^= odd
    return PreviousFile(users, lambda at, size: text[at : at + size], lambda: None)


def pieces_of(text: bytes, old: PreviousFile | None, pieces: Pieces, left_out: int = 0) -> Iterator[bytes | Block]:
    side_by_side = SideBySide((text[at : at + 37] for at in range(0, len(text), 37)), pieces)
    yielded = iter(side_by_side)
    yield next(yielded)
    side_by_side.begin(old, left_out=left_out)
    yield from yielded


def check(text: bytes, old: PreviousFile | None, pieces: Pieces, left_out: int = 0) -> tuple[int, int]:
    """Check that no byte is lost and that line numbers are right; return how many lines are known and unknown."""
    known = unknown = 0
    at, line = 0, 1
    theirs = old.read(0, 1 << 30).split(b"\n") if old else []
    for piece in pieces_of(text, old, pieces, left_out):
        part = piece.text if isinstance(piece, Block) else piece
        assert text.startswith(part, at)
        if isinstance(piece, Block):
            assert old
            assert (piece.line, part[-1:]) == (line, b"\n")
            ours = part.split(b"\n")[:-1]
            assert len(piece.users) == len(ours)
            covered = set()
            for number, raw in piece.unknown:
                lines = raw.split(b"\n")
                assert lines == ours[number - line : number - line + len(lines)]
                covered.update(range(number, number + len(lines)))
            for number, (user, raw) in enumerate(zip(piece.users, ours, strict=True), line):
                assert bool(user) is (number not in covered)
                if user:
                    places = [place for place, other in enumerate(old.users) if other == user]
                    assert any(theirs[place - 1] == raw for place in places)
            for number, (user, raw) in piece.was.items():
                assert number in covered
                assert (user, raw) in zip(old.users[1:], theirs, strict=False)
            known += piece.known
            unknown += len(piece.unknown)
        at += len(part)
        line += part.count(b"\n")
    assert at == len(text)
    return known, unknown


cut = st.builds(Pieces, st.sampled_from([1, 30]), st.sampled_from([1, 40, 300, 100_000]))


@given(st.integers(0, 10**6), cut, st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_no_line_is_lost_and_known_lines_were_in_the_previous_file(seed: int, pieces: Pieces, left_out: int) -> None:
    dice = random.Random(seed)
    old = [dice.choice(LINES + ODD) for _ in range(dice.randrange(80))]
    new = list(old)
    for _ in range(dice.choice((0, 1, 5, 40))):
        at = dice.randrange(len(new) + 1)
        match dice.randrange(4):
            case 0:
                new.insert(at, dice.choice(LINES + ODD))
            case 1:
                del new[at : at + dice.choice((1, 5))]
            case 2:
                new[at : at + 1] = [dice.choice(LINES + ODD)]
            case 3:
                dice.shuffle(new)
    unsettled = frozenset(number for number in range(1, 90) if dice.random() < 0.1)
    check(HEADER + b"".join(new), before(old, unsettled=unsettled), pieces, left_out)


@pytest.mark.parametrize(
    ("new", "known", "unknown"),
    [
        (LINES, 59, 0),
        ([*LINES[:20], b"New,n@x.org\n", *LINES[21:]], 58, 1),
        ([*LINES[:20], *LINES[30:]], 49, 0),
        ([*LINES[:20], b"New,n@x.org\n", *LINES[20:]], 59, 1),
        (LINES[::-1], 59, 0),
        ([*LINES[:20], b'"New\n', b'line",n@x.org\n', *LINES[20:]], 59, 1),
        ([*LINES[:20], b'"', *LINES[20:40], b'"\n', *LINES[40:]], 39, 1),
    ],
    ids=["same", "changed", "gone", "new", "reversed", "of two lines", "one quote takes twenty"],
)
def test_lines_of_the_previous_file_are_known_in_any_order(new: list[bytes], known: int, unknown: int) -> None:
    found = check(HEADER + b"".join(new), before(LINES), Pieces(1, 100_000))
    assert found == (known, unknown)


def test_a_changed_line_has_the_line_that_was_in_its_place() -> None:
    new = [*LINES[:20], b"New,n@x.org\n", *LINES[21:40], *LINES[41:50], b"Newer,n@x.org\n", *LINES[50:]]
    pieces = pieces_of(HEADER + b"".join(new), before(LINES), Pieces(1, 100_000))
    was = {line: what for piece in pieces if isinstance(piece, Block) for line, what in piece.was.items()}
    assert was == {22: (21, LINES[20].rstrip())}


def test_the_lines_that_are_left_out_and_one_more_go_to_the_reader() -> None:
    text = HEADER + b"".join(LINES)
    *_, last = pieces_of(text, before(LINES), Pieces(1, 50), left_out=3)
    assert last == b"".join(LINES[-4:])


def test_without_a_previous_file_all_lines_go_to_the_reader() -> None:
    text = HEADER + b"".join(LINES)
    assert b"".join(piece for piece in pieces_of(text, None, Pieces()) if isinstance(piece, bytes)) == text


def test_a_file_with_few_lines_of_the_previous_one_goes_to_the_reader() -> None:
    text = HEADER + b"".join(b"X%d,x%d@y.org\n" % (number, number) for number in range(200))
    blocks = [piece for piece in pieces_of(text, before(LINES), Pieces(1, 100)) if isinstance(piece, Block)]
    assert 0 < len(blocks) < 5
