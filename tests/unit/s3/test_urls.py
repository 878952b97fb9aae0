"""The URL of a bucket: what it may say, and that a wrong one is not quoted."""

from __future__ import annotations

import pytest

from engine.s3.urls import Bucket, parse_bucket

MINIO = "https://minio.example.com:9000"


@pytest.mark.parametrize(
    ("url", "bucket"),
    [
        ("s3://files", Bucket("files")),
        ("s3://files/", Bucket("files")),
        ("s3://files/a/b/", Bucket("files", "a/b")),
        ("s3://my.files-2/a?region=eu-central-1", Bucket("my.files-2", "a", None, "eu-central-1")),
        (f"s3://files?endpoint={MINIO}/", Bucket("files", "", MINIO)),
        (f"s3://files?region=x&endpoint={MINIO}", Bucket("files", "", MINIO, "x")),
        ("s3://files?endpoint=http%3A%2F%2F[::1]:9", Bucket("files", "", "http://[::1]:9")),
    ],
)
def test_a_url_names_bucket_folder_endpoint_and_region(url: str, bucket: Bucket) -> None:
    assert parse_bucket(url) == bucket


@pytest.mark.parametrize(
    "url",
    [
        "",
        "files",
        "https://files",
        "s3://",
        "s3://secret:secret@files",
        "s3://files:9000",
        "s3://a",
        "s3://files/a/../secret",
        "s3://files//secret",
        "s3://files/ü",
        "s3://files#secret",
        "s3://files?secret=secret",
        "s3://files?endpoint=minio.example.com/secret",
        "s3://files?endpoint=https://secret:secret@minio.example.com",
        "s3://files?endpoint=https://minio.example.com/secret",
        "s3://files?region=a&region=secret",
        "s3://[secret",
    ],
)
def test_a_wrong_url_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|may") as refused:
        parse_bucket(url)
    assert "secret" not in str(refused.value)


def test_a_bucket_is_shown_without_its_options() -> None:
    assert parse_bucket(f"s3://files/a?endpoint={MINIO}").in_words == "s3://files/a"
    assert parse_bucket("s3://files").in_words == "s3://files"
