"""Each change is in the audit log, with who, what and how it ended, and without its values."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import Message

from domain.errors import PermissionDenied, Unauthenticated
from domain.outcome import UpdateOutcome
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as Key
from featom.v1.entity_type_pb2 import EntityType
from featom.v1.value_pb2 import FeatureValue
from server.access.auditing import Auditing
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from tests.unit.server.access.audit_lines import Lines, lines
from tests.unit.server.fake_context import FakeContext

__all__ = ["lines"]

SECRET = "a value that nobody may see"
CARD = Key(entity_type="card", entity_id="4711")

UPDATE = pb.UpdateFeaturesRequest(
    key=CARD, updates=[pb.FeatureUpdate(name="f", set=FeatureValue(string_value=SECRET))]
)


@pytest.fixture
def auditing(lines: Lines) -> Auditing:
    fake: Any = lines
    return Auditing(fake, Decoder(10_000))


def call_of(method: str, request: Message | None = None, service: str = "FeatureStore") -> Call:
    context: Any = FakeContext([("x-request-id", "id-7")])
    data = b"" if request is None else request.SerializeToString()
    name = f"/featom.v1.{service}Service/{method}"
    return Call(name, context, request=data, principal="cn:alice")


def answers(answer: Message | BaseException) -> Callable[[Call], Any]:
    async def handler(call: Call) -> bytes:
        if isinstance(answer, BaseException):
            raise answer
        return answer.SerializeToString()

    return handler


async def test_a_change_is_told_with_who_and_what_and_how_it_ended(
    auditing: Auditing, lines: Lines
) -> None:
    answer = pb.UpdateFeaturesResponse(version=7)
    await auditing.middleware(answers(answer))(call_of("UpdateFeatures", UPDATE))
    (line,) = lines
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "principal": "cn:alice",
        "peer": "ipv4:127.0.0.1:1",
        "request_id": "id-7",
        "rpc": "/featom.v1.FeatureStoreService/UpdateFeatures",
        "entities": [["card", "4711"]],
        "code": "OK",
        "reason": "",
        "version": 7,
    }


CHANGES: list[tuple[str, str, Message, Message, dict[str, Any]]] = [
    (
        "FeatureStore",
        "BatchUpdateFeatures",
        pb.BatchUpdateFeaturesRequest(updates=[UPDATE, UPDATE]),
        pb.BatchUpdateFeaturesResponse(
            responses=[
                pb.UpdateFeaturesResponse(version=1),
                pb.UpdateFeaturesResponse(version=2),
            ]
        ),
        {"entities": [["card", "4711"], ["card", "4711"]], "version": [1, 2]},
    ),
    (
        "FeatureStore",
        "DeleteAggregate",
        pb.DeleteAggregateRequest(key=CARD, erase_history=True),
        pb.DeleteAggregateResponse(version=3),
        {"entities": [["card", "4711"]], "version": 3, "erase_history": True},
    ),
    (
        "EntityType",
        "ApplyEntityType",
        types_pb.ApplyEntityTypeRequest(entity_type=EntityType(name="card"), validate_only=True),
        types_pb.ApplyEntityTypeResponse(entity_type=EntityType(name="card", revision=4)),
        {"entities": [["card", ""]], "version": 4, "validate_only": True},
    ),
    (
        "EntityType",
        "DeleteEntityType",
        types_pb.DeleteEntityTypeRequest(name="card", force=True),
        types_pb.DeleteEntityTypeResponse(),
        {"entities": [["card", ""]], "version": None, "force": True},
    ),
]


@pytest.mark.parametrize(("service", "method", "request_", "answer", "told"), CHANGES)
async def test_every_sort_of_change_is_told(
    service: str,
    method: str,
    request_: Message,
    answer: Message,
    told: dict[str, Any],
    auditing: Auditing,
    lines: Lines,
) -> None:
    await auditing.middleware(answers(answer))(call_of(method, request_, service))
    (line,) = lines
    assert told.items() <= line.items()


@pytest.mark.parametrize(
    ("error", "code", "reason", "entities"),
    [
        (PermissionDenied(["write card"]), "PERMISSION_DENIED", "PERMISSION_DENIED", 1),
        (Unauthenticated(), "UNAUTHENTICATED", "UNAUTHENTICATED", 0),
        (RuntimeError(SECRET), "INTERNAL", "INTERNAL", 1),
        (asyncio.CancelledError(), "CANCELLED", "OUTCOME_UNKNOWN", 1),
    ],
)
async def test_a_call_that_fails_is_told_and_fails_as_before(
    error: BaseException, code: str, reason: str, entities: int, auditing: Auditing, lines: Lines
) -> None:
    with pytest.raises(type(error)) as failed:
        await auditing.middleware(answers(error))(call_of("UpdateFeatures", UPDATE))
    assert failed.value is error
    (line,) = lines
    assert (line["code"], line["reason"], len(line["entities"])) == (code, reason, entities)


async def test_a_request_that_does_not_parse_is_told_without_entities(
    auditing: Auditing, lines: Lines
) -> None:
    call = call_of("UpdateFeatures")
    call.request = b"\xff"
    with pytest.raises(PermissionDenied):
        await auditing.middleware(answers(PermissionDenied()))(call)
    (line,) = lines
    assert line["entities"] == []


@pytest.mark.parametrize("method", ["GetAggregate", "ListAggregates"])
async def test_reads_are_not_told(method: str, auditing: Auditing, lines: Lines) -> None:
    await auditing.middleware(answers(pb.GetAggregateResponse()))(call_of(method))
    assert lines == []


async def test_each_message_of_a_stream_is_told_when_it_is_decided(
    auditing: Auditing, lines: Lines
) -> None:
    futures: list[asyncio.Future[Any]] = []

    def begin(call: Call, request: Any) -> "asyncio.Future[Any]":
        if len(futures) == 3:
            raise PermissionDenied
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    call = call_of("StreamUpdateFeatures")
    middleware = auditing.message_middleware(begin)
    for sequence in range(4):
        message = pb.StreamUpdateFeaturesRequest(sequence=sequence, update=UPDATE)
        if sequence == 3:
            with pytest.raises(PermissionDenied):
                middleware(call, message)
        else:
            middleware(call, message)
    outcome = UpdateOutcome(UUID(int=1), 1, 9, 0, ())
    futures[0].set_result(outcome)
    futures[1].set_exception(RuntimeError(SECRET))
    futures[2].cancel()
    await asyncio.sleep(0)
    told = {line["sequence"]: (line["code"], line["version"]) for line in lines}
    assert told == {
        0: ("OK", 9),
        1: ("INTERNAL", None),
        2: ("CANCELLED", None),
        3: ("PERMISSION_DENIED", None),
    }
    assert all(line["entities"] == [["card", "4711"]] for line in lines)


async def test_no_line_has_a_value(auditing: Auditing, lines: Lines) -> None:
    answer = pb.UpdateFeaturesResponse(version=7)
    await auditing.middleware(answers(answer))(call_of("UpdateFeatures", UPDATE))
    with pytest.raises(RuntimeError):
        await auditing.middleware(answers(RuntimeError(SECRET)))(call_of("UpdateFeatures", UPDATE))
    assert len(lines) == 2
    assert SECRET not in json.dumps(lines)
