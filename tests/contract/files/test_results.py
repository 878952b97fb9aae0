"""/results is changed as a whole: what a report writes, links and removes is there on return."""

from __future__ import annotations

import pytest

from importer.folder import TenantFolder
from importer.worker.results_folder import ResultsFolder
from tests.support.archives import House, OpenHouse


async def write(house: House, **files: str) -> None:
    def work(results: ResultsFolder) -> None:
        for name, content in files.items():
            results.write(name, content.encode())

    await house.results.change(house.folder, work)


async def test_files_are_written_replaced_and_removed(house: House) -> None:
    await write(house, one="first", two="second")

    def work(results: ResultsFolder) -> None:
        assert sorted(results.names()) == ["one", "two"]
        results.write("one", b"replaced")
        results.write("three", "Zoë".encode())
        results.remove("two")
        results.remove("never there")
        assert sorted(results.names()) == ["one", "three"]

    await house.results.change(house.folder, work)
    assert await house.in_results() == {"one": b"replaced", "three": "Zoë".encode()}


async def test_reports_are_there_for_the_next_process(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await write(house, one="first")
    async with open_house() as house:
        assert await house.in_results() == {"one": b"first"}
        names: list[str] = []
        await house.results.change(house.folder, lambda results: names.extend(results.names()))
        assert names == ["one"]


async def test_a_file_that_a_hook_reported_gets_a_name(house: House) -> None:
    reports = house.folder.run_reports(7)
    reports.mkdir(parents=True)
    (reports / "pdf").write_bytes(b"%PDF")

    def work(results: ResultsFolder) -> None:
        results.link("invoices-7.pdf", reports / "pdf")

    await house.results.change(house.folder, work)
    await house.results.change(house.folder, work)
    (reports / "pdf").unlink()
    assert await house.in_results() == {"invoices-7.pdf": b"%PDF"}


async def test_a_missing_file_gets_no_name(house: House) -> None:
    def work(results: ResultsFolder) -> None:
        results.link("one", house.folder.errors(7))

    with pytest.raises(FileNotFoundError):
        await house.results.change(house.folder, work)


async def test_the_results_of_a_removed_tenant_are_not_written(house: House) -> None:
    def work(results: ResultsFolder) -> None:
        results.write("one", b"")

    with pytest.raises(OSError):  # noqa: PT011 - another one with each engine
        await house.results.change(TenantFolder(house.folder.root.with_name("removed")), work)
