"""A task that fails is begun again, logged and counted; nothing ends without a word."""

import asyncio
import threading
from contextlib import suppress

import pytest

from runtime import supervision
from runtime.supervision import FAILURES, supervised, watch_the_rest
from tests.kit.waiting import eventually


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_FIRST_PAUSE", 0.001)


def counted(name: str) -> float:
    (metric,) = FAILURES.metrics()
    found = {reading.labels["task"]: reading.value for reading in metric.samples}
    assert isinstance(found[name], int)
    return float(found[name])  # type: ignore[arg-type]


async def test_what_fails_is_begun_again_logged_with_its_traceback_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError("nobody thought of it")

    await supervised("test work", work)
    assert begun == 3
    assert counted("test work") == 2
    assert caplog.text.count("test work failed, and is begun again") == 2
    assert "ValueError: nobody thought of it" in caplog.text


async def test_what_has_never_failed_is_counted_as_nothing_from_the_start() -> None:
    async def work() -> None:
        pass

    task = supervised("test peace", work)
    assert counted("test peace") == 0
    await task


async def test_the_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def fails() -> None:
        raise ValueError

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("runtime.supervision.asyncio.sleep", note)
    task = supervised("test pauses", fails)
    while len(pauses) < 20:
        await sleep(0)
    task.cancel()
    assert pauses[:3] == [0.001, 0.002, 0.004]
    assert pauses[-1] == 10.0


async def test_a_task_that_is_cancelled_stays_so() -> None:
    task = supervised("test cancelled", asyncio.Event().wait)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert counted("test cancelled") == 0


@pytest.fixture
async def watched() -> object:
    loop = asyncio.get_running_loop()
    hook, handler = threading.excepthook, loop.get_exception_handler()
    watch_the_rest(loop)
    yield
    threading.excepthook = hook
    loop.set_exception_handler(handler)


@pytest.mark.usefixtures("watched")
async def test_a_callback_that_fails_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails() -> None:
        raise ValueError("in a callback")

    before = counted("callback")
    asyncio.get_running_loop().call_soon(fails)
    await eventually(lambda: counted("callback") == before + 1)
    assert "ValueError: in a callback" in caplog.text


@pytest.mark.usefixtures("watched")
async def test_a_thread_that_fails_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ValueError("in a thread")

    before = counted("thread")
    thread = threading.Thread(target=fails, name="test thread")
    thread.start()
    thread.join()
    assert counted("thread") == before + 1
    assert "the thread test thread failed" in caplog.text
    assert "ValueError: in a thread" in caplog.text
