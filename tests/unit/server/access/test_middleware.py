"""The stages of access around a handler: what they let through, and what they say otherwise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.message import Message

from domain.errors import (
    InvalidValue,
    Overloaded,
    PermissionDenied,
    RateExceeded,
    Unauthenticated,
)
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as Key
from server.access.authentication import authenticated
from server.access.authorization import Authorization, Grant, Grants
from server.access.permissions import Permission
from server.access.rate_limits import RateLimits
from server.rpc.call import Call, Context
from server.rpc.decoding import RememberingDecoder
from server.rpc.request_bytes import WaitingBytes
from tests.unit.server.fake_context import FakeContext

STORE = "/featom.v1.FeatureStoreService/"


def call_of(method: str = "GetAggregate", request: Message | None = None, **rest: Any) -> Call:
    context: Any = FakeContext()
    data = b"" if request is None else request.SerializeToString()
    return Call(f"{STORE}{method}", context, request=data, **rest)


async def done(call: Call) -> str:
    return call.principal or "done"


def begun(call: Call, request: Any) -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


def knows(principal: str | None) -> Any:
    async def authenticator(context: Context) -> str | None:
        return principal

    return authenticator


async def refuses(context: Context) -> str | None:
    raise Unauthenticated("bad")


async def test_the_first_credentials_name_the_caller() -> None:
    middleware = authenticated([knows(None), knows("cn:alice"), refuses])
    assert await middleware(done)(call_of()) == "cn:alice"


async def test_bad_credentials_are_not_made_good_by_others() -> None:
    with pytest.raises(Unauthenticated, match="bad"):
        await authenticated([refuses, knows("cn:alice")])(done)(call_of())


@pytest.mark.parametrize("principal", [None, "cn:a\nb", "cn:" + "x" * 2_000])
async def test_who_is_not_known_is_refused(principal: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await authenticated([knows(principal)])(done)(call_of())


def authorization() -> Authorization:
    grants = Grants([Grant(["cn:alice"], {Permission.READ: ["card"], Permission.WRITE: ["card"]})])
    return Authorization(lambda: grants, RememberingDecoder(10_000))


def reading(*types: str) -> Message:
    return pb.BatchGetAggregatesRequest(keys=[Key(entity_type=each) for each in types])


def updating(entity_type: str) -> pb.UpdateFeaturesRequest:
    return pb.UpdateFeaturesRequest(key=Key(entity_type=entity_type))


async def test_what_is_granted_is_let_through_and_all_else_is_named() -> None:
    middleware = authorization().middleware(done)
    assert await middleware(call_of("BatchGetAggregates", reading("card"), principal="cn:alice"))
    with pytest.raises(PermissionDenied) as refused:
        await middleware(
            call_of("BatchGetAggregates", reading("card", "shop", "x"), principal="cn:alice")
        )
    assert refused.value.refused == ("read shop", "read x")


async def test_a_caller_without_a_name_is_granted_nothing() -> None:
    with pytest.raises(PermissionDenied):
        await authorization().middleware(done)(call_of("BatchGetAggregates", reading("card")))


async def test_a_request_that_does_not_parse_is_refused_as_such() -> None:
    call = call_of(principal="cn:alice")
    call.request = b"\xff"
    with pytest.raises(InvalidValue):
        await authorization().middleware(done)(call)


async def test_each_message_of_a_stream_is_checked() -> None:
    middleware = authorization().message_middleware(begun)
    call = call_of("StreamUpdateFeatures", principal="cn:alice")
    middleware(call, pb.StreamUpdateFeaturesRequest(update=updating("card")))
    with pytest.raises(PermissionDenied, match="write shop"):
        middleware(call, pb.StreamUpdateFeaturesRequest(update=updating("shop")))


async def test_a_stream_whose_handler_checks_nothing_ends_with_what_is_refused() -> None:
    async def messages() -> AsyncIterator[bytes]:
        for each in ("card", "shop", "card"):
            yield updating(each).SerializeToString()

    async def reads_all(call: Call) -> list[bytes]:
        return [seen.append(data) or data async for data in call.stream]  # type: ignore[func-returns-value]

    seen: list[bytes] = []
    call = call_of("UpdateFeatures", updating("card"), principal="cn:alice", stream=messages())
    with pytest.raises(PermissionDenied):
        await authorization().middleware(reads_all)(call)
    assert seen == [updating("card").SerializeToString()]


async def test_a_principal_has_a_burst_of_a_second_and_then_its_rate() -> None:
    clock = [100.0]
    rate_limits = RateLimits(10, lambda: clock[0])
    middleware = rate_limits.middleware(done)
    for _ in range(10):
        await middleware(call_of(principal="cn:alice"))
    with pytest.raises(RateExceeded) as refused:
        await middleware(call_of(principal="cn:alice"))
    assert refused.value.retry_after == pytest.approx(0.1)
    assert await middleware(call_of(principal="cn:bob")) == "cn:bob"
    clock[0] += refused.value.retry_after + 0.001
    assert await middleware(call_of(principal="cn:alice")) == "cn:alice"
    with pytest.raises(RateExceeded):
        rate_limits.message_middleware(begun)(call_of(principal="cn:alice"), None)


async def test_principals_are_forgotten_when_they_have_been_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.access.rate_limits._MAX_REMEMBERED", 3)
    clock = [100.0]
    rate_limits = RateLimits(1, lambda: clock[0])
    for number in range(3):
        rate_limits.take(f"cn:{number}")
    clock[0] += 0.5
    with pytest.raises(RateExceeded):
        rate_limits.take("cn:0")
    clock[0] += 1
    rate_limits.take("cn:new")
    assert list(rate_limits._full_at) == ["cn:new"]


async def test_bytes_that_wait_are_bounded_and_given_back() -> None:
    waiting = WaitingBytes(10)
    release = asyncio.Event()

    async def waits(call: Call) -> str:
        await release.wait()
        return "done"

    call = call_of()
    call.request = b"123456"
    middleware = waiting.middleware(waits)
    first = asyncio.ensure_future(middleware(call))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await asyncio.wait_for(middleware(call), 5)
    release.set()
    assert await first == "done"
    assert await middleware(call) == "done"
    assert waiting.waiting == 0


@pytest.mark.parametrize("error", [RuntimeError(), asyncio.CancelledError()])
async def test_bytes_of_a_call_that_fails_are_given_back(error: BaseException) -> None:
    async def fails(call: Call) -> None:
        raise error

    waiting = WaitingBytes(10)
    call = call_of()
    call.request = b"123456"
    with pytest.raises(type(error)):
        await waiting.middleware(fails)(call)
    assert waiting.waiting == 0


async def test_bytes_of_messages_wait_until_they_are_decided() -> None:
    message = pb.StreamUpdateFeaturesRequest(update=updating("card"))
    waiting = WaitingBytes(message.ByteSize())
    middleware = waiting.message_middleware(begun)
    future = middleware(call_of(), message)
    with pytest.raises(Overloaded):
        middleware(call_of(), message)
    future.cancel()
    await asyncio.sleep(0)
    assert waiting.waiting == 0

    def fails(call: Call, request: Any) -> "asyncio.Future[Any]":
        raise Overloaded

    with pytest.raises(Overloaded):
        waiting.message_middleware(fails)(call_of(), message)
    assert waiting.waiting == 0
