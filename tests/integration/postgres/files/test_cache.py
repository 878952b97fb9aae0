"""The scratch folder keeps what is in use, and few enough bytes of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.postgres.files.cache import FRESH_S, Cache


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return Cache(most_bytes=10, clock=clock)


def put(cache: Cache, folder: Path, name: str, content: int, size: int) -> Path:
    path = folder / name
    path.touch()
    cache.put(path, content, size)
    return path


def test_another_content_is_not_there(cache: Cache, tmp_path: Path) -> None:
    path = put(cache, tmp_path, "a", 1, 5)
    assert cache.has(path, 1)
    assert not cache.has(path, 2)
    assert not cache.has(tmp_path / "b", 1)
    path.unlink()
    assert not cache.has(path, 1)


def test_a_removed_file_is_not_there(cache: Cache, tmp_path: Path) -> None:
    path = put(cache, tmp_path, "a", 1, 5)
    assert cache.forget(path)
    assert not cache.has(path, 1)
    assert not cache.forget(path)


def test_the_files_unused_for_longest_go_first(cache: Cache, clock: Clock, tmp_path: Path) -> None:
    a, b, c = (put(cache, tmp_path, name, number, 5) for number, name in enumerate("abc"))
    assert cache.too_many() == []  # all are in use
    clock.now += FRESH_S + 1
    assert cache.too_many() == [a]
    assert cache.has(a, 0)
    assert cache.too_many() == [b]
    cache.forget(b)
    assert cache.too_many() == []
    put(cache, tmp_path, "c", 9, 50)
    clock.now += FRESH_S + 1
    assert cache.too_many() == [a, c]


def test_a_held_file_stays(cache: Cache, clock: Clock, tmp_path: Path) -> None:
    a, b, _ = (put(cache, tmp_path, name, number, 5) for number, name in enumerate("abc"))
    clock.now += FRESH_S + 1
    with cache.holding([a]), cache.holding([a]):
        assert cache.too_many() == [b]
    assert cache.too_many() == [a]


def test_a_replaced_file_counts_once(cache: Cache, clock: Clock, tmp_path: Path) -> None:
    for number in range(5):
        put(cache, tmp_path, "a", number, 6)
    put(cache, tmp_path, "b", 9, 4)
    clock.now += FRESH_S + 1
    assert cache.too_many() == []
