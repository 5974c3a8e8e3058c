"""What happens around every handler: errors are answered, causes are logged, ids are kept."""

import asyncio
import logging

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from domain.errors import AggregateNotFound, Corrupted
from server.access_log import access_logged
from server.rpc.call import Call
from server.rpc.errors import INTERNAL_MESSAGE
from server.rpc.middleware import Handler, Middleware, with_errors, wrap
from tests.unit.server.fake_context import METHOD, Aborted, FakeContext, call_with


def failing(error: BaseException) -> Handler:
    async def handler(call: Call) -> bytes:
        raise error

    return handler


async def answer_to(error: Exception, context: FakeContext) -> Status:
    """The status that a call ends with when its handler fails."""
    with pytest.raises(Aborted):
        await with_errors(failing(error))(call_with(context))
    return Status.FromString(context.trailing["grpc-status-details-bin"])


async def test_an_answer_goes_through_unchanged() -> None:
    async def handler(call: Call) -> bytes:
        return call.request[::-1]

    middleware = (access_logged, with_errors)
    assert await wrap(handler, middleware)(call_with(FakeContext(), b"abc")) == b"cba"


async def test_the_first_stage_is_the_outermost() -> None:
    order: list[str] = []

    def named(name: str) -> Middleware:
        def middleware(handler: Handler) -> Handler:
            async def staged(call: Call) -> bytes:
                order.append(name)
                answer: bytes = await handler(call)
                return answer

            return staged

        return middleware

    async def handler(call: Call) -> bytes:
        return b""

    await wrap(handler, [named("first"), named("second")])(call_with(FakeContext()))
    assert order == ["first", "second"]


async def test_a_domain_error_ends_the_call_with_its_status_and_details() -> None:
    context = FakeContext()
    status = await answer_to(AggregateNotFound(), context)
    assert context.code is StatusCode.NOT_FOUND
    assert context.message == status.message == str(AggregateNotFound())
    assert status.details[0].Unpack(ErrorInfo())


@pytest.mark.parametrize("error", [RuntimeError("the secret"), Corrupted("the secret")])
async def test_the_cause_of_an_internal_error_is_logged_with_the_request_id_and_not_sent(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    context = FakeContext([("x-request-id", "id-7")])
    status = await answer_to(error, context)
    assert context.code is StatusCode.INTERNAL
    assert context.message == INTERNAL_MESSAGE
    assert b"secret" not in status.SerializeToString()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"id-7 {METHOD}" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_what_a_caller_did_wrong_is_no_error_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await answer_to(AggregateNotFound(), FakeContext())
    assert not caplog.records


async def test_a_failed_call_is_told_its_id() -> None:
    context = FakeContext([("x-request-id", "id-7")])
    await answer_to(AggregateNotFound(), context)
    assert context.trailing["x-request-id"] == "id-7"


@pytest.mark.parametrize("junk", ["", "a b", "a\nb", "ä", "x" * 129, b"\xff"], ids=ascii)
async def test_an_id_that_is_junk_is_replaced(junk: str | bytes) -> None:
    call = call_with(FakeContext([("x-request-id", junk)]))
    assert len(call.request_id) == 32
    assert call.request_id == call.request_id
    assert call.request_id != call_with(FakeContext()).request_id


@pytest.mark.parametrize(
    ("remaining", "code"),
    [
        (None, StatusCode.CANCELLED),
        (1.0, StatusCode.CANCELLED),
        (0.0, StatusCode.DEADLINE_EXCEEDED),
    ],
)
async def test_a_cancelled_call_is_not_answered_and_known_by_why_it_was(
    remaining: float | None, code: StatusCode
) -> None:
    context = FakeContext(remaining=remaining)
    call = call_with(context)
    with pytest.raises(asyncio.CancelledError):
        await with_errors(failing(asyncio.CancelledError()))(call)
    assert context.code is None
    assert call.code is code


async def test_a_call_that_fails_is_in_the_access_log_and_one_that_succeeds_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(call: Call) -> bytes:
        return b""

    caplog.set_level(logging.INFO, "featom.access")
    await wrap(handler, (access_logged, with_errors))(call_with(FakeContext()))
    assert not caplog.records
    context = FakeContext([("x-request-id", "id-7")])
    with pytest.raises(Aborted):
        await wrap(failing(AggregateNotFound()), (access_logged, with_errors))(call_with(context))
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"id-7 {METHOD} NOT_FOUND reason=AGGREGATE_NOT_FOUND peer=ipv4:127.0.0.1:1 seconds=0."
    )


@pytest.mark.parametrize(("remaining", "known"), [(None, False), (1e10, False), (5.0, True)])
async def test_the_deadline_of_a_call_is_on_the_loops_clock(
    remaining: float | None, known: bool
) -> None:
    before = asyncio.get_running_loop().time()
    deadline = call_with(FakeContext(remaining=remaining)).deadline
    assert (deadline is not None) == known
    if deadline is not None:
        assert before + 5 <= deadline <= asyncio.get_running_loop().time() + 5
