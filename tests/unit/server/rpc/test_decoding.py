"""A request is parsed once, however many look at it and whatever happens meanwhile."""

from collections.abc import Iterator
from typing import Final

import pytest

from domain.errors import InvalidValue, MessageTooLarge
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from server.rpc.call import Call, current_call
from server.rpc.decoding import RememberingDecoder
from tests.unit.server.fake_context import FakeContext, call_with

REQUEST: Final = pb.GetAggregateRequest


def data_of(entity_id: str) -> bytes:
    key = EntityKey(entity_type="card", entity_id=entity_id)
    return REQUEST(key=key).SerializeToString()


@pytest.fixture
def decode() -> RememberingDecoder:
    return RememberingDecoder(100)


@pytest.fixture
def call() -> Iterator[Call]:
    """The running call."""
    running = call_with(FakeContext(), data_of("1"))
    token = current_call.set(running)
    yield running
    current_call.reset(token)


def test_the_request_of_a_call_is_parsed_once_although_others_come_between(
    decode: RememberingDecoder, call: Call
) -> None:
    first = decode(REQUEST, call.request)
    token = current_call.set(call_with(FakeContext(), data_of("2")))
    other = decode(REQUEST, data_of("2"))
    current_call.reset(token)
    assert decode(REQUEST, call.request) is first
    assert (first.key.entity_id, other.key.entity_id) == ("1", "2")


def test_each_message_of_a_stream_is_parsed_once(decode: RememberingDecoder, call: Call) -> None:
    one, two = data_of("1"), data_of("2")
    first = decode(REQUEST, one)
    assert decode(REQUEST, one) is first
    assert decode(REQUEST, two).key.entity_id == "2"
    assert decode(REQUEST, one) is not first


def test_what_is_known_as_one_message_is_parsed_anew_as_another(
    decode: RememberingDecoder, call: Call
) -> None:
    decode(REQUEST, call.request)
    assert isinstance(decode(pb.DeleteAggregateRequest, call.request), pb.DeleteAggregateRequest)


def test_what_cannot_be_parsed_is_refused_each_time(decode: RememberingDecoder) -> None:
    broken = call_with(FakeContext(), b"\xff")
    token = current_call.set(broken)
    for _ in range(2):
        with pytest.raises(InvalidValue):
            decode(REQUEST, broken.request)
    with pytest.raises(MessageTooLarge):
        decode(REQUEST, bytes(101))
    current_call.reset(token)
