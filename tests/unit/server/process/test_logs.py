"""What is logged, as text and as JSON: every line on its own, and of which call it is."""

import io
import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import AggregateNotFound
from server.access_log import access_logged
from server.process.logs import LOST_LINES, logging_to_stderr
from server.rpc.call import Call, current_call
from server.rpc.middleware import Handler, with_errors, wrap
from server.settings import Settings
from tests.unit.server.fake_context import METHOD, Aborted, FakeContext, call_with

log = logging.getLogger("featom.test")


class Logged:
    """Lines that were written to standard error, of one block."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def lines(self) -> list[str]:
        return self._capture.readouterr().err.splitlines()

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    alembic = logging.getLogger("alembic").level
    yield Logged(capsys)
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(alembic)


@pytest.mark.parametrize("form", ["TEXT", "Json"])
def test_a_format_that_settings_take_in_capitals_is_known(form: str) -> None:
    Settings(log_format=form)
    with logging_to_stderr("info", form):
        logging.getLogger("featom").info("said")


def test_text_stays_as_it_was(logged: Logged) -> None:
    with logging_to_stderr("info", "text"):
        log.info("ready, %d", 3)
    (line,) = logged.lines()
    assert line.endswith(" INFO featom.test: ready, 3")


def test_a_message_of_several_lines_is_one_line_of_text(logged: Logged) -> None:
    with logging_to_stderr("info", "text"):
        log.info("not ready: %s", "starting up\nDETAIL:  Not consistent yet.\nHINT:  Wait.")
    (line,) = logged.lines()
    assert line.endswith("not ready: starting up DETAIL:  Not consistent yet. HINT:  Wait.")


def test_what_is_logged_while_a_record_is_finished_is_one_more_line(logged: Logged) -> None:
    class Complaining(FakeContext):
        def invocation_metadata(self) -> Any:
            log.error("not text")
            return ()

    context: Any = Complaining()
    known = current_call.set(Call(METHOD, context))
    try:
        with logging_to_stderr("info", "json"):
            log.info("begun")
    finally:
        current_call.reset(known)
    lines = logged.objects()
    assert [line["message"] for line in lines] == ["not text", "begun"]
    assert lines[1]["request_id"]


def test_metadata_that_is_no_text_is_not_worth_a_line(logged: Logged) -> None:
    with logging_to_stderr("info", "text"):
        logging.getLogger("grpc._cython.cygrpc").error("Invalid encoding on %s", b"\xff")
    assert logged.lines() == []


def test_a_record_is_one_object(logged: Logged) -> None:
    with logging_to_stderr("info", "json"):
        log.warning('two\nlines, a "quote" and %s', "Zürich")
        log.debug("not this")
    (line,) = logged.objects()
    assert line.keys() == {"time", "level", "logger", "message"}
    assert line["level"] == "WARNING"
    assert line["logger"] == "featom.test"
    assert line["message"] == 'two\nlines, a "quote" and Zürich'
    age = datetime.now(UTC) - datetime.fromisoformat(line["time"])
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_what_changes_after_it_was_logged_does_not_change_the_line(logged: Logged) -> None:
    with logging_to_stderr("info", "json"):
        changing = [1]
        log.info("%s", changing)
        changing.append(2)
    assert logged.objects()[0]["message"] == "[1]"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_logged_with_its_cause(logged: Logged, form: str) -> None:
    with logging_to_stderr("info", form):
        try:
            raise RuntimeError("the cause")
        except RuntimeError:
            log.exception("failed")
    lines = logged.lines()
    if form == "json":
        (line,) = map(json.loads, lines)
        assert line["message"] == "failed"
        lines = line["traceback"].splitlines()
    assert lines[-1] == "RuntimeError: the cause"


def handler_that(does: str) -> Handler:
    async def handler(call: Call) -> bytes:
        if does == "fails":
            raise RuntimeError("the secret")
        if does == "refuses":
            raise AggregateNotFound
        log.info("in the handler")
        return b""

    return wrap(handler, (access_logged, with_errors))


async def test_every_line_of_a_call_has_its_id(logged: Logged) -> None:
    with logging_to_stderr("debug", "json"):
        await handler_that("answers")(call_with(FakeContext([("x-request-id", "id-7")])))
    inside, access = logged.objects()
    assert inside["message"] == "in the handler"
    assert inside["request_id"] == access["request_id"] == "id-7"
    assert access["logger"] == "featom.access"
    assert access["method"] == METHOD
    assert access["code"] == "OK"
    assert access["peer"] == "ipv4:127.0.0.1:1"
    assert 0 <= access["seconds"] < 60


async def test_a_call_that_fails_inside_leaves_its_cause_and_its_access_line(
    logged: Logged,
) -> None:
    with logging_to_stderr("info", "json"), pytest.raises(Aborted):
        await handler_that("fails")(call_with(FakeContext([("x-request-id", "id-7")])))
    cause, access = logged.objects()
    assert "the secret" in cause["traceback"]
    assert cause["request_id"] == access["request_id"] == "id-7"
    assert access["code"] == "INTERNAL"


async def test_a_call_that_is_refused_leaves_one_line(logged: Logged) -> None:
    with logging_to_stderr("info", "json"), pytest.raises(Aborted):
        await handler_that("refuses")(call_with(FakeContext()))
    (access,) = logged.objects()
    assert access["code"] == "NOT_FOUND"
    assert len(access["request_id"]) == 32


class Stuck(io.StringIO):
    """Standard error whose reader stands still for a while, and of which one write fails."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.goes_on.wait(30)
        return super().write(text)


def test_lines_that_nobody_takes_are_lost_and_counted_and_the_others_are_written(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = Stuck()
    monkeypatch.setattr("sys.stderr", stuck)
    monkeypatch.setattr("server.process.logs.MAX_QUEUED", 10)
    before = LOST_LINES.ever
    with logging_to_stderr("info", "text"):
        for number in range(50):
            log.info("line %d", number)
        lost = LOST_LINES.ever - before
        assert 39 <= lost < 50
        stuck.goes_on.set()
        while "line 9" not in stuck.getvalue():
            time.sleep(0.01)
        log.info("one more")
    (metric,) = LOST_LINES.metrics()
    assert metric.samples[0].value == LOST_LINES.ever
    assert f"{lost} lines of the log were lost" in stuck.getvalue()
    assert "one more" in stuck.getvalue()


def test_a_record_that_cannot_be_written_is_counted_and_the_next_one_is_written(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = logging.StreamHandler.handle

    def handle_or_fail(handler: Any, record: logging.LogRecord) -> bool:
        if "bad" in record.getMessage():
            raise ValueError("a bug")
        return handle(handler, record)

    monkeypatch.setattr("logging.StreamHandler.handle", handle_or_fail)
    before = LOST_LINES.ever
    with logging_to_stderr("info", "text"):
        log.info("bad")
        log.info("good")
    assert any(line.endswith("good") for line in logged.lines())
    assert LOST_LINES.ever == before + 1
