"""How long a tenant waits whose reports cannot be written."""

from __future__ import annotations

from importer.worker.put_off import PutOff


def test_a_tenant_waits_longer_with_each_failure_in_a_row() -> None:
    put_off = PutOff()
    assert put_off.waiting(100.0) == set()
    put_off.tried({"acme"}, set(), 100.0)
    assert (put_off.waiting(100.5), put_off.waiting(101.0)) == ({"acme"}, set())
    put_off.tried({"acme"}, {"globex"}, 101.0)
    assert (put_off.waiting(102.5), put_off.waiting(103.0)) == ({"acme"}, set())
    for _ in range(20):
        put_off.tried({"acme"}, set(), 200.0)
    assert (put_off.waiting(259.5), put_off.waiting(260.0)) == ({"acme"}, set())


def test_one_report_that_is_written_ends_the_wait() -> None:
    put_off = PutOff()
    put_off.tried({"acme"}, set(), 100.0)
    put_off.tried({"acme"}, {"acme"}, 101.0)
    assert put_off.waiting(101.0) == set()
    put_off.tried({"acme"}, set(), 102.0)
    assert put_off.waiting(103.0) == set()


def test_a_clock_that_is_set_back_ends_the_wait() -> None:
    put_off = PutOff()
    put_off.tried({"acme"}, set(), 100_000.0)
    assert put_off.waiting(100.0) == set()
