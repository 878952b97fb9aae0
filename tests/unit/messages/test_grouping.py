"""A message that many rows share is shown once, with a count, the first lines and a few values."""

from __future__ import annotations

from importer.messages.grouping import LINES_NAMED, VALUES_NAMED, each_alone, first_groups, grouped_problems
from importer.model import Problem, Severity


def bad_date(line: int, value: str = "soon", column: str = "hire_date", message: str = "Write it.") -> Problem:
    return Problem(Severity.ERROR, "bad_date", f"{column} “{value}”: {message}", line, column, value)


def about(code: str, message: str = "Look.", line: int | None = None) -> Problem:
    return Problem(Severity.WARNING, code, message, line)


def test_the_same_sentence_about_many_rows_is_shown_once() -> None:
    [group] = grouped_problems(bad_date(line, f"{line}th") for line in range(3, 32))
    assert group.sentence() == ("29 rows: hire_date: Write it. (lines 3, 4, 5, 6, 7, …; “3th”, “4th”, “5th”, …)")
    assert (len(group.lines), len(group.values)) == (LINES_NAMED, VALUES_NAMED)


def test_equal_values_are_named_once() -> None:
    [group] = grouped_problems(bad_date(line) for line in (3, 7))
    assert group.sentence() == "2 rows: hire_date: Write it. (lines 3, 7; “soon”)"


def test_a_single_message_stays_unchanged() -> None:
    [group] = grouped_problems([bad_date(3)])
    assert group.sentence() == "line 3: hire_date “soon”: Write it."
    [group] = grouped_problems([Problem(Severity.WARNING, "not_reactivated", "Take it out.", 4, None, "a@b.test")])
    assert group.sentence() == "line 4: Take it out. (a@b.test)"


def test_messages_with_other_columns_severities_codes_or_hints_are_separate() -> None:
    problems = [
        bad_date(2),
        bad_date(3, column="birthday"),
        bad_date(4, message="Write 2024-01-02."),
        Problem(Severity.WARNING, "bad_date", "hire_date “soon”: Write it.", 5, "hire_date", "soon"),
        Problem(Severity.ERROR, "missing_value", "hire_date “soon”: Write it.", 6, "hire_date", "soon"),
    ]
    assert [group.count for group in grouped_problems(problems)] == [1, 1, 1, 1, 1]


def test_messages_that_differ_only_in_named_lines_are_one_group() -> None:
    said = [
        Problem(
            Severity.ERROR, "duplicate_identifier", f"Line {line} is about the same person.", line + 9, "email", "x"
        )
        for line in (1200, 3)
    ]
    [group] = grouped_problems(said)
    assert group.message == "Line … is about the same person."


def test_messages_that_differ_only_in_the_value_are_one_group() -> None:
    said = [
        Problem(Severity.WARNING, "unknown_link", f"“{who}” is not a user; {who} was kept.", 2, "manager", who)
        for who in ("a1@b.test", "c2@d.test")
    ]
    [group] = grouped_problems(said)
    assert group.message == "“…” is not a user; … was kept."


def test_a_word_that_is_a_value_too_stays_in_the_sentence() -> None:
    said = [
        Problem(Severity.ERROR, "bad_number", "x “number”: Write a number.", line, "x", "number") for line in (2, 3)
    ]
    assert grouped_problems(said)[0].message == "Write a number."


def test_unknown_columns_are_one_group() -> None:
    said = [
        Problem(Severity.WARNING, "unknown_column", f"Column “{name}” is unknown and was ignored.", 1, name, name)
        for name in ("dept", "floor", "badge", "car")
    ]
    [group] = grouped_problems(said)
    assert group.sentence() == ("4 columns: Column “…” is unknown and was ignored. (“dept”, “floor”, “badge”, …)")


def test_messages_without_a_line_are_counted_as_times() -> None:
    [group] = grouped_problems(about("protected_user") for _ in range(2))
    assert group.sentence() == "2 times: Look."


def test_rejected_rows_come_before_warnings_of_rows_and_after_the_whole_file() -> None:
    said = [
        Problem(Severity.ERROR, "unterminated_quote", "Why it failed.", 9),
        about("perhaps_utf_8"),
        about("unknown_column", line=1),
        about("unknown_link", line=2),
        bad_date(3),
        Problem(Severity.NOTICE, "deactivate_unknown", "Nobody.", 4),
        about("unknown_link", line=5),
    ]
    assert [group.code for group in grouped_problems(said)] == [
        *("unterminated_quote", "perhaps_utf_8", "unknown_column"),
        *("bad_date", "unknown_link", "deactivate_unknown"),
    ]


def test_a_limit_keeps_all_messages_about_the_whole_file() -> None:
    whole = [about("unread_leavers", f"Column {number}.") for number in range(5)]
    rows = [bad_date(number, message=f"Case {chr(97 + number)}.") for number in range(2, 9)]
    shown = first_groups(grouped_problems([*whole, *rows]), 2)
    assert [group.code for group in shown] == [*["unread_leavers"] * 5, *["bad_date"] * 2]


def test_each_alone_keeps_the_order_and_every_message() -> None:
    said = [bad_date(3).to_json(), bad_date(4).to_json()]
    assert [(group.count, group.named_lines) for group in each_alone(map(dict, said))] == [(1, "3"), (1, "4")]


def test_the_reason_of_a_failure_stays_first_within_a_limit() -> None:
    said = [Problem(Severity.ERROR, "unterminated_quote", "Why.", 9), about("perhaps_utf_8"), bad_date(3)]
    shown = first_groups(grouped_problems(said), 1)
    assert [group.code for group in shown] == ["unterminated_quote", "perhaps_utf_8"]
