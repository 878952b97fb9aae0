"""`headcount.testing`: hooks on a real server, as their authors test them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel

from headcount import Delivery, Message, Refuse, Result, Retry, Upload, hook
from headcount.testing import UploadFailed, running

PROCESS = os.getpid()


@hook("/notes/*.txt", name="notes")
def notes(delivery: Delivery) -> Result:
    with delivery.open() as file:
        text = file.read()
    delivery.report("copy.txt", text.upper())
    said = f"{delivery.tenant} {delivery.path} {delivery.size} {delivery.attempt} {os.getpid() == PROCESS}"
    return Result(said, {"bytes": len(text)}, [Message("warning", "Look here.", "look", 1, "a")])


@hook("/async/*.txt", name="on_the_loop")
async def on_the_loop(delivery: Delivery) -> Result:
    await asyncio.sleep(0)
    return Result(threading.current_thread().name)


@hook("/apart/*.txt", name="apart", isolation="process")
def apart(delivery: Delivery) -> Result:
    return Result(str(os.getpid()))


@hook("/later/*.txt", name="later")
def later(delivery: Delivery) -> None:
    if delivery.attempt < 3:
        raise Retry(3600, "Not now.")


@hook("/broken/*.txt", name="broken")
def broken(delivery: Delivery) -> None:
    raise KeyError("a cell")


def not_empty(upload: Upload) -> None:
    if not upload.size:
        raise Refuse("The file is empty.")


@hook("/full/list.csv", name="full", accept=not_empty)
def full(delivery: Delivery) -> None:
    """Take every file."""


class Choices(BaseModel):
    color: str = "red"
    number: int = 1


@hook("/set/*.txt", name="set_", settings=Choices)
def set_(delivery: Delivery) -> Result:
    return Result(f"{delivery.settings.color} {delivery.settings.number}")


def test_a_file_is_delivered_and_its_run_returned() -> None:
    with running(hooks=[notes]) as server:
        run = server.put("acme", "/notes/a.txt", b"hello")
        report = json.loads(server.read("acme", "/results/notes-1.json"))
    assert (run.id, run.hook, run.path, run.state, run.attempt) == (1, "notes", "/notes/a.txt", "completed", 1)
    assert run.message == "acme /notes/a.txt 5 1 True"
    assert run.counts == {"bytes": 5}
    assert run.messages == [Message("warning", "Look here.", "look", 1, "a")]
    assert run.reports == {"copy.txt": b"HELLO"}
    assert (report["state"], report["message"]) == (run.state, run.message)


def test_an_async_function_runs_on_the_loop_and_one_with_isolation_in_a_process() -> None:
    with running(hooks=[on_the_loop, apart]) as server:
        assert server.put("acme", "/async/a.txt", b"").message == "headcount"
        assert server.put("acme", "/apart/a.txt", b"").message != str(os.getpid())


def test_a_failed_attempt_is_followed_by_the_next_at_once() -> None:
    with running(hooks=[later, broken]) as server:
        run = server.put("acme", "/later/a.txt", b"")
        failed = server.put("acme", "/broken/a.txt", b"")
    assert (run.state, run.attempt) == ("completed", 3)
    assert (failed.state, failed.attempt, failed.error) == ("failed", 5, "KeyError: 'a cell'")
    assert "a cell" not in (failed.message or "")


def test_an_exception_of_a_hook_is_logged_with_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "headcount.testing"), running(hooks=[broken]) as server:
        server.put("acme", "/broken/a.txt", b"")
    assert "KeyError: 'a cell'" in caplog.text
    assert "in broken" in caplog.text


def test_a_refused_file_is_an_aborted_run_and_the_old_file_stays() -> None:
    with running(hooks=[full]) as server:
        assert server.put("acme", "/full/list.csv", b"a").state == "completed"
        run = server.put("acme", "/full/list.csv", b"")
        assert (run.state, run.message, run.attempt) == ("aborted", "The file is empty.", 0)
        assert server.read("acme", "/full/list.csv") == b"a"


def test_a_file_that_the_server_refuses_raises_an_exception_with_its_words() -> None:
    with running(hooks=[notes]) as server, pytest.raises(UploadFailed, match="results"):
        server.put("acme", "/results/a.txt", b"")


def test_a_path_without_a_hook_is_an_error() -> None:
    with running(hooks=[notes]) as server, pytest.raises(LookupError, match="no hook has the path"):
        server.put("acme", "/elsewhere/a.txt", b"")


def test_a_tenant_sets_values_that_the_model_accepts() -> None:
    with running(hooks=[set_]) as server:
        server.configure("acme", "set_", color="blue")
        assert server.put("acme", "/set/a.txt", b"").message == "blue 1"
        assert server.put("globex", "/set/a.txt", b"").message == "red 1"
        with pytest.raises(ValueError, match="number"):
            server.configure("acme", "set_", number="many")


def test_a_file_that_is_not_there_cannot_be_read() -> None:
    with running(hooks=[notes]) as server, pytest.raises(FileNotFoundError):
        server.read("acme", "/notes/a.txt")


def test_functions_that_are_not_hooks_and_hooks_that_conflict_are_refused() -> None:
    @hook("/notes/*.txt", name="other")
    def other(delivery: Delivery) -> None: ...

    with pytest.raises(ValueError, match="is not a hook"), running(hooks=[not_empty]):
        pass
    with pytest.raises(ValueError, match="as exact as"), running(hooks=[notes, other]):
        pass


def test_the_environment_of_the_test_does_not_change_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HEADCOUNT_SFTP_PORT", "1")
    with running(hooks=[notes]) as server:
        server.put("acme", "/notes/a.txt", b"hello")
    assert not (tmp_path / "elsewhere").exists()


def test_two_servers_run_beside_each_other() -> None:
    with running(hooks=[notes]) as one, running(hooks=[notes]) as other:
        assert one.put("acme", "/notes/a.txt", b"1").id == 1
        assert other.put("acme", "/notes/a.txt", b"2").id == 1


def test_a_server_leaves_no_folder_and_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # that of the machine has those of other tests, too
    with running(hooks=[notes]) as server:
        server.put("acme", "/notes/a.txt", b"")
        assert [*tmp_path.iterdir()] != []
    assert [*tmp_path.iterdir()] == []
    assert "headcount" not in {thread.name for thread in threading.enumerate()}
