"""Reading a checksum file, and the uploads that a checksum counts for or against."""

from __future__ import annotations

import pytest

from importer.queue.checksum import Checksum, NoChecksum, Surroundings, Verdict, checksum_in, judge

OURS, THEIRS, OTHER = "a" * 64, "b" * 64, "c" * 64


@pytest.mark.parametrize(
    "content",
    [
        f"{OURS}  sync_users.csv\n",
        f"{OURS} *sync_users.csv\n",
        f"{OURS}  sync_users.csv\r\n",
        f"{OURS}  sync_users.csv",
        f"{OURS.upper()}  sync_users.csv\n",
        f"{OURS}  export of monday.csv\n",
        f"{OURS}  ./out/sync_users.csv\n{OTHER}  other.csv\n",
        f"{OTHER} *other.csv\r\n{OURS} *C:\\out\\sync_users.csv\r\n",
        f"\\{OURS}  a\\\\b\n",
        f"{OURS}\n",
        f"SHA256 (sync_users.csv) = {OURS}\n",
    ],
)
def test_a_checksum_is_read_in_the_formats_of_sha256sum_and_similar_tools(content: str) -> None:
    assert checksum_in(content.encode()) == OURS
    assert checksum_in(b"\xef\xbb\xbf" + content.encode()) == OURS
    assert checksum_in(content.encode("utf-16")) == OURS


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        OURS[:-1],
        f"{OURS}0  sync_users.csv",
        f"{'g' * 64}  sync_users.csv",
        "first_name,last_name,email\n",
        f"{OURS}  one.csv\n{THEIRS}  two.csv\n",
        f"{OURS}  sync_users.csv\n{THEIRS}  sync_users.csv\n",
    ],
)
def test_a_file_without_exactly_one_checksum_is_refused(content: str) -> None:
    with pytest.raises(NoChecksum, match="sha256sum"):
        checksum_in(content.encode())


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(NoChecksum):
        checksum_in(b"\xff\xfe\x00\xd8\x80")


def verdict(around: Surroundings, *, required: bool = False, over: bool = False) -> Verdict:
    """Return the verdict on the import 7, whose upload had sequence 20 and the expected hash."""
    return judge(7, OURS, around, required=required, over=over)


@pytest.mark.parametrize("after", [0, 15, 25, 35])
def test_a_matching_checksum_proves_the_file_complete_whenever_it_arrived(after: int) -> None:
    around = Surroundings([Checksum(1, THEIRS, 5), Checksum(2, OURS, after, import_id=3)], 10, 30)
    assert verdict(around) is Verdict.FITS
    assert verdict(around, required=True) is Verdict.FITS


def test_a_checksum_sent_again_overrides_the_one_it_corrects() -> None:
    assert verdict(Surroundings([Checksum(1, THEIRS, 15), Checksum(2, OURS, 20)], 10)) is Verdict.FITS


def test_the_previous_file_does_not_pass_with_the_new_checksum() -> None:
    around = Surroundings([Checksum(1, OURS, 5), Checksum(2, THEIRS, 15)], before=10, others={OURS})
    assert verdict(around) is Verdict.DIFFERS
    assert verdict(Surroundings([Checksum(1, OURS, 5)], before=10, others={OURS})) is Verdict.FITS


def test_an_old_file_sent_again_is_not_proven_complete_by_its_own_checksum() -> None:
    """Its checksum arrived after the old file and before this one; so did that of the file that was expected."""
    checksums = [Checksum(1, OURS, 10), Checksum(2, THEIRS, 10)]
    for sent in (checksums, checksums[::-1]):
        assert verdict(Surroundings(sent, before=10, others={OURS})) is Verdict.DIFFERS
        assert verdict(Surroundings(sent, before=10), required=True) is Verdict.FITS, "no file had it before"


@pytest.mark.parametrize(("after", "counts"), [(9, False), (10, True), (20, True), (29, True), (30, False)])
def test_a_differing_checksum_counts_only_between_the_neighboring_uploads(after: int, counts: bool) -> None:
    around = Surroundings([Checksum(1, THEIRS, after)], before=10, following=30)
    assert verdict(around) is (Verdict.DIFFERS if counts else Verdict.SILENT)


def test_a_checksum_of_another_upload_counts_against_no_upload() -> None:
    around = Surroundings([Checksum(1, THEIRS, 15)], before=10, others={THEIRS})
    assert verdict(around) is Verdict.SILENT
    assert verdict(around, required=True) is Verdict.WAITS


def test_a_checksum_that_made_an_import_fail_counts_against_no_other() -> None:
    assert verdict(Surroundings([Checksum(1, THEIRS, 15, import_id=6)], before=10)) is Verdict.SILENT
    assert verdict(Surroundings([Checksum(1, THEIRS, 15, import_id=7)], before=10)) is Verdict.DIFFERS


def test_a_required_checksum_is_awaited_and_then_missing() -> None:
    assert verdict(Surroundings(())) is Verdict.SILENT
    assert verdict(Surroundings(()), required=True) is Verdict.WAITS
    assert verdict(Surroundings(()), required=True, over=True) is Verdict.MISSING
