"""A hook gets its delivery, and its answer is understood, the same in the loop, in a process and in a thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from headcount.hooks import Message, Result
from server.faults import Faults
from server.runs.ends import Again, Done, Failed, Refused
from server.runs.python.calling import Calling, Workshop
from server.runs.python.pool import Pool
from server.settings import environment_of_hooks
from tests.support.hook_modules import attempt_of, load_hook
from tests.support.waiting import eventually

WAYS = ["async def", "def", "process", "thread"]

SEE_LOG = "Tell the operator: the log has the cause."


def load(folder: Path, workshop: Workshop, way: str, body: str, options: str = "") -> Calling:
    """Return a hook of this way to run, whose function has the lines of `body`."""
    start = way if way.endswith("def") else {"process": "async def", "thread": "def"}[way]
    options += ', isolation="process"' if way == "process" else ""
    workshop.threads = way == "thread"
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    code = f'@hook("/invoices/*.csv", name="invoices"{options})\n{start} invoices(delivery):\n{lines}\n'
    return load_hook(folder, code, workshop)


@pytest.mark.parametrize("way", WAYS)
async def test_a_hook_gets_its_delivery_and_its_result_is_reported(
    workshop: Workshop, tmp_path: Path, way: str
) -> None:
    body = """
facts = [delivery.tenant, delivery.id, delivery.path, delivery.name, delivery.size, delivery.attempt]
facts += [delivery.sha256[:4]]
with delivery.open() as file:
    facts += [delivery.uploaded_at.isoformat(), delivery.settings, file.read()]
delivery.report("rows.txt", repr(facts).encode())
return Result("Done.", {"rows": 2}, [Message("warning", "Odd.", "odd", 3, "price")])
"""
    calling = load(tmp_path, workshop, way, body)
    attempt = attempt_of(tmp_path, attempt=2, run_id=17)

    assert await calling.deliver(attempt) == Done(
        Result("Done.", {"rows": 2}, (Message("warning", "Odd.", "odd", 3, "price"),))
    )
    facts = ["acme", 17, "/invoices/march.csv", "march.csv", 8, 2, attempt.sha256[:4]]
    facts += ["2026-03-31T10:00:00+00:00", None, b"the file"]
    assert (attempt.reports / "rows.txt").read_text() == repr(facts)


@pytest.mark.parametrize("way", WAYS)
async def test_a_hook_that_returns_nothing_is_done(workshop: Workshop, tmp_path: Path, way: str) -> None:
    assert await load(tmp_path, workshop, way, "pass").deliver(attempt_of(tmp_path)) == Done(Result())


@pytest.mark.parametrize("way", WAYS)
async def test_a_hook_gets_the_settings_of_the_tenant_as_its_model(
    workshop: Workshop, tmp_path: Path, way: str
) -> None:
    body = "return Result(f'{delivery.settings!r}')"
    calling = load(tmp_path, workshop, way, body, ", settings=__import__('models_of_a_test').Settings")
    assert await calling.deliver(attempt_of(tmp_path, settings={"rate": 3})) == Done(
        Result("Settings(rate=3, currency='EUR')")
    )


@pytest.mark.logs("hook_failed")
@pytest.mark.parametrize("way", WAYS)
async def test_settings_that_no_longer_fit_fail_at_once_and_name_the_field(
    workshop: Workshop, tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    calling = load(tmp_path, workshop, way, "pass", ", settings=__import__('models_of_a_test').Settings")
    end = await calling.deliver(attempt_of(tmp_path, settings={"rate": "a secret", "currency": "CHF"}))
    assert end == Failed(
        "Your settings of this hook do not fit: rate, currency. Change them, then run the file again.",
        "hook_settings: rate must be a whole number; currency must be “EUR” or “GBP”",
    )
    (told,) = [each for each in caplog.records if getattr(each, "event", "") == "hook_failed"]
    assert "do not fit: rate, currency" in told.getMessage()
    assert "a secret" not in caplog.text

    end = await calling.deliver(attempt_of(tmp_path, settings={"rate": 13}))
    assert end == Failed(
        "Your settings of this hook do not fit. Change them, then run the file again.",
        "hook_settings: must not be unlucky",
    )


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import pydantic
from typing import Literal

class Settings(pydantic.BaseModel):
    rate: int = 1
    currency: Literal["EUR", "GBP"] = "EUR"

    @pydantic.model_validator(mode="after")
    def _lucky(self):
        if self.rate == 13:
            raise ValueError("must not be unlucky")
        return self
"""
    (tmp_path / "models_of_a_test.py").write_text(code)
    monkeypatch.delitem(sys.modules, "models_of_a_test", raising=False)


@pytest.mark.parametrize("way", WAYS)
async def test_a_retry_says_when_and_why(workshop: Workshop, tmp_path: Path, way: str) -> None:
    calling = load(tmp_path, workshop, way, "raise Retry(90, 'The bank is closed.')")

    assert await calling.deliver(attempt_of(tmp_path)) == Again("The bank is closed.", "Retry", 90.0)


@pytest.mark.parametrize("after_s", ["float('nan')", "-1", "'soon'", "True", "float('inf')", "10**400"])
async def test_a_retry_at_no_time_is_an_error(workshop: Workshop, tmp_path: Path, after_s: str) -> None:
    calling = load(tmp_path, workshop, "async def", f"raise Retry({after_s}, 'Later.')")

    end = await calling.deliver(attempt_of(tmp_path))
    assert end == Again(
        f"The hook failed. {SEE_LOG}", "TypeError: the after_s of a Retry is a number of seconds from 0"
    )


@pytest.mark.logs("hook_failed")
@pytest.mark.parametrize("way", WAYS)
async def test_an_exception_is_logged_without_its_text_and_tried_again(
    workshop: Workshop, tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = """
try:
    int("cell " + delivery.name)
except ValueError as error:
    raise KeyError("the cell\\nof ann") from error
"""
    calling = load(tmp_path, workshop, way, body)

    end = await calling.deliver(attempt_of(tmp_path))
    assert isinstance(end, Again)
    assert end.message == f"The hook failed. {SEE_LOG}"
    assert end.error == r"KeyError: 'the cell\nof ann'"
    (record,) = [each for each in caplog.records if each.name == "server.runs.python.calling"]
    facts = vars(record)
    assert (facts["event"], facts["tenant"], facts["hook"], facts["run_id"]) == ("hook_failed", "acme", "invoices", 1)
    assert record.getMessage() == "The hook invoices failed: KeyError."
    assert record.exc_info is None
    lines = facts["traceback"].splitlines()
    assert lines[-1] == "KeyError"
    assert "ValueError" in lines
    assert '    int("cell " + delivery.name)' in lines
    assert "march.csv" not in facts["traceback"]
    assert "ann" not in record.getMessage()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("statement", ["sys.exit(3)", "raise KeyboardInterrupt", "raise asyncio.CancelledError"])
async def test_a_hook_that_exits_by_an_exception_is_tried_again(
    workshop: Workshop, tmp_path: Path, way: str, statement: str
) -> None:
    end = await load(tmp_path, workshop, way, statement).deliver(attempt_of(tmp_path))

    assert isinstance(end, Again)
    assert end.error in {"SystemExit: 3", "KeyboardInterrupt", "CancelledError"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("'ok'", "a hook returns a Result or None, not str"),
        ("Result(3)", "the message of a Result is a text or None, not int"),
        ("Result(counts=[])", "the counts of a Result are a mapping, not list"),
        ("Result(counts={'rows': 1.5})", "a count is an integer, not float"),
        ("Result(messages=['odd'])", "the messages of a Result are of the type Message, not str"),
        ("Result(messages=[Message('fatal', 'odd')])", "the severity of a Message is error, warning or notice"),
        ("Result(messages=[Message('error', '', line='')])", "the line of a Message is an integer or None, not str"),
        ("Result(counts={'rows': 10**5000})", "a count is an integer of at most 63 bits"),
        (
            "Result(messages=[Message('error', '', line=-2**63)])",
            "the line of a Message is an integer or None of at most 63 bits",
        ),
        ("Result(messages=7)", "the messages of a Result are a list, not int"),
    ],
)
async def test_a_wrong_result_fails_at_once(
    workshop: Workshop, tmp_path: Path, way: str, value: str, error: str
) -> None:
    end = await load(tmp_path, workshop, way, f"return {value}").deliver(attempt_of(tmp_path))

    assert end == Failed(f"The hook failed. {SEE_LOG}", f"TypeError: {error}")


@pytest.mark.parametrize("way", WAYS)
async def test_a_result_is_cut_to_what_can_be_stored(workshop: Workshop, tmp_path: Path, way: str) -> None:
    body = "return Result('\\udcff' + 'x' * 5000, messages=[Message('notice', 'y' * 900)] * 12_000)"
    end = await load(tmp_path, workshop, way, body).deliver(attempt_of(tmp_path))

    assert isinstance(end, Done)
    assert end.result.message == "?" + "x" * 999
    assert len(end.result.messages) == 10_000
    assert end.result.messages[-1] == Message("notice", "2,001 more messages were left out.", "more_messages")


async def test_a_result_that_is_too_large_fails_at_once(workshop: Workshop, tmp_path: Path) -> None:
    body = "return Result(messages=[Message('notice', '\\u1234' * 1000, '\\u1234' * 1000)] * 9_000)"
    end = await load(tmp_path, workshop, "def", body).deliver(attempt_of(tmp_path))

    assert isinstance(end, Failed)
    assert end.error == "ValueError: the Result has more than 16,777,216 bytes"


@pytest.mark.parametrize("way", WAYS)
async def test_a_hook_that_takes_too_long_is_tried_again(workshop: Workshop, tmp_path: Path, way: str) -> None:
    sleep = "await asyncio.sleep(10_000)" if way in {"async def", "process"} else "time.sleep(10_000)"
    calling = load(tmp_path, workshop, way, sleep, ", timeout_s=0.2")

    end = await calling.deliver(attempt_of(tmp_path))
    assert end == Again(f"The hook took longer than 0.2 seconds. {SEE_LOG}", "took longer than 0.2 s")


@pytest.mark.parametrize("way", ["async def", "def", "process"])
async def test_a_run_that_is_canceled_has_ended(workshop: Workshop, tmp_path: Path, way: str) -> None:
    """A hook in the loop can clean up, one in a process is killed. Neither goes on."""
    sleep = "time.sleep(10_000)" if way == "def" else "await asyncio.sleep(10_000)"
    body = f"Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()) + '\\n')\ntry:\n    {sleep}\nfinally:\n"
    calling = load(tmp_path, workshop, way, body + f"    Path({str(tmp_path)!r}, 'cleaned').touch()")
    task = asyncio.create_task(calling.deliver(attempt_of(tmp_path)))
    pid = tmp_path / "pid"
    await eventually(lambda: pid.exists() and pid.read_text().endswith("\n"))

    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    if way == "async def":
        assert (tmp_path / "cleaned").exists()
    else:
        assert not Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.logs("hook_held_loop")
async def test_the_log_names_a_hook_that_holds_the_loop(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calling = load(
        tmp_path, workshop, "async def", "await asyncio.sleep(0)\ntime.sleep(1.01)\nawait asyncio.sleep(0)"
    )

    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
    (record,) = [each for each in caplog.records if getattr(each, "event", "") == "hook_held_loop"]
    held = re.fullmatch(
        r"The hook invoices held the event loop for (.*) s; all clients waited\.", record.getMessage()
    )
    assert held
    assert float(held[1]) >= 1.0
    assert (vars(record)["tenant"], vars(record)["run_id"]) == ("acme", 1)


@pytest.mark.parametrize(
    "start",
    [
        "await asyncio.gather(hold())",
        "await asyncio.create_task(hold(), name='x', context=None)",
        "async with asyncio.TaskGroup() as group:\n    group.create_task(hold())",
    ],
)
async def test_the_log_names_a_hook_whose_task_holds_the_loop(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture, start: str
) -> None:
    body = f"async def hold():\n    await asyncio.sleep(0)\n    time.sleep(1.01)\n{start}"
    calling = load(tmp_path, workshop, "async def", body)

    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
    assert [getattr(each, "event", "") for each in caplog.records] == ["hook_held_loop"]


@pytest.mark.parametrize(
    "start",
    [
        "asyncio.create_task(later())",
        "asyncio.gather(later(), later())",
        "asyncio.get_running_loop().call_soon(fail, name)",
        "asyncio.get_running_loop().call_later(0.001, fail, name)",
        "asyncio.create_task(deeper())",
    ],
)
async def test_an_exception_that_a_hook_awaits_nowhere_is_logged_without_its_text(
    workshop: Workshop, tmp_path: Path, start: str, caplog: pytest.LogCaptureFixture
) -> None:
    Faults().watch(asyncio.get_running_loop())
    body = f"""
import gc
name = delivery.name
def fail(cell): raise ValueError("cell: " + cell)
async def later(): fail(name)
async def deeper(): asyncio.create_task(later())
{start}
await asyncio.sleep(0.05)
"""
    calling = load(tmp_path, workshop, "async def", body)

    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
    gc.collect()
    records = [each for each in caplog.records if each.name != "asyncio"]
    assert {record.getMessage() for record in records} == {
        "The hook invoices failed: ValueError in a task that it does not await."
    }
    facts = vars(records[0])
    assert (facts["event"], facts["tenant"], facts["run_id"]) == ("hook_failed", "acme", 1)
    assert facts["traceback"].endswith("\nValueError")
    assert "march.csv" not in caplog.text + facts["traceback"]


async def test_an_exception_of_a_thread_of_a_hook_is_logged_without_its_text(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Faults().watch(asyncio.get_running_loop())
    body = """
def fail(cell): raise ValueError("cell: " + cell)
left = asyncio.get_running_loop().run_in_executor(None, fail, delivery.name)
while not left.done():
    await asyncio.sleep(0.001)
"""
    calling = load(tmp_path, workshop, "async def", body)

    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
    gc.collect()
    assert [getattr(each, "event", "") for each in caplog.records] == ["loop_fault"]
    assert "RuntimeError: ValueError" in caplog.text
    assert "march.csv" not in caplog.text


@pytest.mark.parametrize("statement", ["sys.exit(3)", "raise KeyboardInterrupt"])
async def test_a_task_of_a_hook_cannot_end_the_server(
    workshop: Workshop, tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = f"async def later():\n    {statement}\nasyncio.create_task(later())\nawait asyncio.sleep(0.05)"
    calling = load(tmp_path, workshop, "async def", body)

    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
    gc.collect()
    assert "The hook invoices failed: Exited in a task that it does not await." in caplog.messages


async def test_an_async_hook_catches_exceptions_of_what_it_awaits(workshop: Workshop, tmp_path: Path) -> None:
    body = """
try:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(10_000)
except TimeoutError:
    return Result("It was caught.")
"""
    calling = load(tmp_path, workshop, "async def", body)

    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result("It was caught."))


async def test_what_a_hook_prints_is_in_the_log_for_debugging(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    body = "print('row', delivery.attempt)\nprint('odd', file=sys.stderr)\nprint('x\\n' * 100)"
    calling = load(tmp_path, workshop, "def", body)
    for level, count in ((logging.INFO, 0), (logging.DEBUG, 20)):
        caplog.clear()
        with caplog.at_level(level, "server.runs.python.calling"):
            assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
        assert len(caplog.records) == count
    assert caplog.records[0].getMessage() == "The hook invoices printed: row 1"


ACCEPTS = """
def check(upload):
    with upload.open() as file:
        content = file.read()
    if b"virus" in content:
        raise Refuse(f"{upload.name} of {upload.tenant} has a virus ({upload.size} bytes at {upload.path}).")
    if upload.size == 2:
        int("x")
    if upload.size == 3:
        time.sleep(10_000)
    if upload.size == 4:
        os._exit(9)

async def check_in_loop(upload):
    if upload.size == 3:
        await asyncio.sleep(10_000)
    if upload.size != 4:
        check(upload)

@hook("/invoices/*.csv", name="invoices", accept=CHECK, accept_timeout_s=60)
def invoices(delivery): ...
"""
NOT_CHECKED = f"The file could not be checked. {SEE_LOG}"


@pytest.mark.parametrize("check", ["check", "check_in_loop"])
async def test_accept_lets_files_in_or_refuses_them_with_its_words(
    workshop: Workshop, tmp_path: Path, check: str
) -> None:
    patient = load_hook(tmp_path, ACCEPTS.replace("CHECK", check), workshop)
    hurried = replace(patient, declared=replace(patient.declared, accept_timeout_s=0.5))
    file = tmp_path / "draft"

    async def accept(content: bytes, calling: Calling = patient) -> Refused | None:
        file.write_bytes(content)
        return await calling.accept("acme", "/invoices/a.csv", len(content), file)

    assert await accept(b"some good rows") is None
    virus = "a.csv of acme has a virus (12 bytes at /invoices/a.csv)."
    assert await accept(b"a virus here") == Refused(virus)
    late = "The file could not be checked in time. Send it again later."
    assert await accept(b"...", hurried) == Refused(late, "accept timed out")
    found = await accept(b"..")
    assert found == Refused(NOT_CHECKED, "ValueError: invalid literal for int() with base 10: 'x'")


@pytest.mark.parametrize("way", WAYS)
async def test_an_accept_that_returns_something_refuses_the_file(
    workshop: Workshop, tmp_path: Path, way: str
) -> None:
    """A scanner that returns False must not let the file in."""
    start = "async def" if way == "async def" else "def"
    options = ', isolation="process"' if way == "process" else ""
    workshop.threads = way == "thread"
    code = f"""
{start} check(upload):
    return None if upload.size else False

@hook("/invoices/*.csv", name="invoices", accept=check{options})
def invoices(delivery): ...
"""
    calling = load_hook(tmp_path, code, workshop)

    assert await calling.accept("acme", "/invoices/a.csv", 1, tmp_path / "draft") is None
    found = await calling.accept("acme", "/invoices/a.csv", 0, tmp_path / "draft")
    assert found == Refused(NOT_CHECKED, "TypeError: accept returns None or raises Refuse, not bool")


async def test_an_accept_that_crashes_refuses_the_file(workshop: Workshop, tmp_path: Path) -> None:
    calling = load_hook(tmp_path, ACCEPTS.replace("CHECK", "check"), workshop)
    (tmp_path / "draft").write_bytes(b"four")

    found = await calling.accept("acme", "/invoices/a.csv", 4, tmp_path / "draft")
    assert found == Refused(NOT_CHECKED, "its process exited with 9")


async def test_a_hook_without_accept_takes_every_file(workshop: Workshop, tmp_path: Path) -> None:
    calling = load(tmp_path, workshop, "def", "pass")

    assert await calling.accept("acme", "/invoices/a.csv", 4, tmp_path / "draft") is None


async def test_two_accepts_of_a_tenant_run_at_once_and_others_beside_them(workshop: Workshop, tmp_path: Path) -> None:
    code = f"""
running = []
async def check(upload):
    running.append(upload.tenant)
    try:
        while not Path({str(tmp_path)!r}, "go").exists():
            Path({str(tmp_path)!r}, "running").write_text(" ".join(sorted(running)) + ".")
            await asyncio.sleep(0.005)
    finally:
        running.remove(upload.tenant)

@hook("/invoices/*.csv", name="invoices", accept=check)
def invoices(delivery): ...
"""
    calling = load_hook(tmp_path, code, workshop)
    names = ["acme"] * 5 + ["globex"] * 3
    tasks = [asyncio.create_task(calling.accept(name, "/invoices/a.csv", 1, tmp_path / "x")) for name in names]
    running = tmp_path / "running"
    await eventually(lambda: running.exists() and running.read_text() == "acme acme globex globex.")
    tasks[0].cancel()
    tasks[4].cancel()
    await asyncio.wait([tasks[0]])
    await eventually(lambda: running.read_text() == "acme acme globex globex.")

    (tmp_path / "go").touch()
    assert {task.result() for task in (await asyncio.wait(tasks))[0] if not task.cancelled()} == {None}
    assert len(workshop.accepts) == 0


async def test_functions_of_a_test_run_in_threads_and_see_its_variables(tmp_path: Path) -> None:
    from headcount.hooks import MARK, Delivery, hook

    seen = []

    @hook("/invoices/*.csv", name="invoices")
    def invoices(delivery: Delivery) -> None:
        seen.append(delivery.name)

    workshop = Workshop(Pool(environment_of_hooks()), threads=True)
    calling = Calling(getattr(invoices, MARK), __name__, workshop)
    assert await calling.deliver(attempt_of(tmp_path)) == Done(Result())
    assert seen == ["march.csv"]
