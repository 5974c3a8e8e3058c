"""What is sent again, under which id, after how long; and what never is."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from featom_client import (
    AsyncClient,
    CallTimeout,
    Client,
    ClientClosed,
    CommitUnknown,
    FeatomError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    Retry,
    ServerError,
    Timeouts,
    Unavailable,
    Unreachable,
    WriteStopped,
    inc,
)

from featom.v1.feature_store_pb2 import UpdateFeaturesRequest
from tests.client.scripted import Scripted, Step, scripted

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SOON = Retry(pause=0.01, longest_pause=0.01)

Way = Callable[[Scripted, str], Awaitable[None]]


async def _wait(script: Scripted, call: str, **options: Any) -> None:
    with Client(script.address, **{"retry": SOON} | options) as client:
        getattr(client, call)(*_arguments(call))


async def _await(script: Scripted, call: str, **options: Any) -> None:
    async with AsyncClient(script.address, **{"retry": SOON} | options) as client:
        await getattr(client, call)(*_arguments(call))


def _arguments(call: str) -> tuple[Any, ...]:
    changes = {"update": ({"n": inc(1)},)}.get(call, ())
    return ("card", "1", *changes) if call in {"update", "get", "delete"} else ("card",)


@pytest.fixture(params=[_wait, _await], ids=["Client", "AsyncClient"])
def calling(request: pytest.FixtureRequest) -> Any:
    """Makes one call through either client."""
    return request.param


@pytest.mark.parametrize(
    "step",
    [
        Step(UNAVAILABLE),
        Step(grpc.StatusCode.CANCELLED),
        Step(UNAVAILABLE, "OVERLOADED", 0.01),
        Step(UNAVAILABLE, "COMMIT_UNKNOWN", 0.01),
        Step(UNAVAILABLE, "SOMETHING_NEW"),
        Step(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", 0.01),
        Step(seconds=60.0),
    ],
    ids=str,
)
async def test_a_write_is_sent_again_under_its_id(calling: Any, step: Step) -> None:
    with scripted(step, step) as script:
        await calling(script, "update", timeouts=Timeouts(attempt=0.5))
    ids = {UpdateFeaturesRequest.FromString(each).request_id for each in script.requests}
    assert len(script.requests) == 3
    assert len(ids) == 1
    assert "" not in ids


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Step(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"), InvalidRequest),
        (Step(grpc.StatusCode.INTERNAL, "INTERNAL"), ServerError),
        (Step(grpc.StatusCode.UNIMPLEMENTED), ServerError),
        (Step(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"), PermissionError),
        (Step(grpc.StatusCode.RESOURCE_EXHAUSTED), InvalidRequest),
    ],
    ids=str,
)
async def test_what_fails_for_good_is_sent_once(
    calling: Any, step: Step, error: type[Exception]
) -> None:
    with scripted(step) as script:
        with pytest.raises(error) as raised:
            await calling(script, "update")
        assert isinstance(raised.value, FeatomError)
        assert raised.value.request_id
        assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Step(UNAVAILABLE), Unreachable),
        (Step(UNAVAILABLE, "OVERLOADED", 0.0), Overloaded),
        (Step(UNAVAILABLE, "COMMIT_UNKNOWN", 0.0), CommitUnknown),
        (Step(UNAVAILABLE, "SOMETHING_NEW"), Unavailable),
        (Step(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", 0.0), RateLimited),
    ],
    ids=str,
)
async def test_what_does_not_get_better_is_given_up_after_so_many_attempts(
    calling: Any, step: Step, error: type[Exception]
) -> None:
    with scripted(*[step] * 9) as script:
        with pytest.raises(error):
            await calling(script, "get", retry=Retry(attempts=4, pause=0.01, longest_pause=0.01))
        assert len(script.requests) == 4


async def test_the_pause_is_at_least_that_which_the_server_asks_for(calling: Any) -> None:
    with scripted(Step(UNAVAILABLE, "OVERLOADED", 0.7)) as script:
        await calling(script, "get")
    first, second = script.at
    assert second - first >= 0.7


async def test_a_call_ends_when_its_time_is_up_though_attempts_are_left(calling: Any) -> None:
    with scripted(*[Step(seconds=60.0)] * 99) as script:
        with pytest.raises(CallTimeout) as raised:
            await calling(script, "update", timeouts=Timeouts(attempt=0.2, call=0.7))
        assert isinstance(raised.value, TimeoutError)
        assert raised.value.request_id
        assert 1 < len(script.requests) < 9


async def test_no_pause_is_begun_that_would_outlast_the_call(calling: Any) -> None:
    with scripted(Step(UNAVAILABLE, "OVERLOADED", 3_600.0)) as script:
        with pytest.raises(Overloaded):
            await calling(script, "get")
        assert len(script.requests) == 1


async def test_a_deletion_of_a_type_that_may_have_happened_is_not_sent_again(calling: Any) -> None:
    with scripted(Step(UNAVAILABLE)) as script:
        with pytest.raises(Unreachable):
            await calling(script, "delete_entity_type")
        assert len(script.requests) == 1
    with scripted(Step(UNAVAILABLE, "OVERLOADED", 0.01)) as script:
        await calling(script, "delete_entity_type")
        assert len(script.requests) == 2


async def test_a_token_is_asked_for_before_each_attempt(calling: Any) -> None:
    tokens = iter(["first", "second"])
    with scripted(Step(UNAVAILABLE)) as script:
        await calling(script, "get", token=lambda: next(tokens))
    sent = [each["authorization"] for each in script.metadata]
    assert sent == ["Bearer first", "Bearer second"]


async def test_where_nobody_listens_it_says_so(calling: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        script = Scripted([], f"127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ConnectionError) as raised:
            await calling(script, "get")
    assert isinstance(raised.value, Unreachable)


async def test_a_server_that_says_nothing_does_not_hold_a_call_up(calling: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        script = Scripted([], f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises((Unreachable, CallTimeout)):
            await calling(script, "get", timeouts=Timeouts(connect=0.3, attempt=0.5, call=2.0))


async def test_a_closed_client_says_so(calling: Any) -> None:
    waiting, asynchronous = Client("127.0.0.1:1"), AsyncClient("127.0.0.1:1")
    waiting.close()
    await asynchronous.close()
    with pytest.raises(ClientClosed):
        waiting.get("card", "1")
    with pytest.raises(RuntimeError):
        await asynchronous.get("card", "1")


def test_a_bulk_write_that_no_server_takes_is_stopped() -> None:
    with (
        scripted(*[Step(UNAVAILABLE)] * 99) as script,
        Client(script.address, retry=Retry(attempts=2, pause=0.01, longest_pause=0.01)) as client,
    ):
        rows = [{"entity_id": str(number), "x": 1} for number in range(2_000)]
        with pytest.raises(WriteStopped) as stopped:
            client.write(rows, "card")
    result = stopped.value.result
    assert isinstance(stopped.value.__cause__, Unreachable)
    assert result.written == 0
    assert result.unconfirmed == list(range(len(result.unconfirmed)))
    assert len(result.unconfirmed) >= 100
