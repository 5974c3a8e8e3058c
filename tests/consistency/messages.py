"""Operations as the contract's messages, and answers as they are recorded."""

from collections.abc import Iterator, Sequence
from typing import Final

import grpc

from featom.v1.aggregate_pb2 import EntityKey, FeatureAggregate
from featom.v1.feature_store_pb2 import (
    AppendOperation,
    BatchGetAggregatesRequest,
    BatchGetAggregatesResponse,
    BatchUpdateFeaturesRequest,
    BatchUpdateFeaturesResponse,
    DeleteAggregateRequest,
    DeleteAggregateResponse,
    FeatureUpdate,
    GetAggregateRequest,
    GetAggregateResponse,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from featom.v1.value_pb2 import FeatureValue
from tests.consistency.features import digest, facts_of, nanoseconds
from tests.consistency.operations import (
    ENTITY_TYPE,
    Answer,
    Kind,
    Part,
    Request,
    Seen,
    Step,
    Verdict,
)
from tests.kit.stubs import Failure

Message = (
    UpdateFeaturesRequest
    | BatchUpdateFeaturesRequest
    | DeleteAggregateRequest
    | GetAggregateRequest
    | BatchGetAggregatesRequest
)
Response = (
    UpdateFeaturesResponse
    | BatchUpdateFeaturesResponse
    | DeleteAggregateResponse
    | GetAggregateResponse
    | BatchGetAggregatesResponse
)

NOT_FOUND: Final = "AGGREGATE_NOT_FOUND"
TRY_AGAIN: Final = frozenset({"CONTENDED", "OVERLOADED", "DRAINING", "DATABASE_UNAVAILABLE"})
"""Reasons with which the server says that it changed nothing, and may do so later."""

_REFUSALS: Final = TRY_AGAIN | {
    "INVALID_VALUE",
    "LIMIT_EXCEEDED",
    "ETAG_MISMATCH",
    "AGGREGATE_EXISTS",
    "REQUEST_ID_REUSED",
    NOT_FOUND,
}

_OF_GRPC: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


def message_of(request: Request) -> Message:
    first = request.parts[0]
    if request.kind is Kind.READ:
        if len(request.parts) == 1:
            return GetAggregateRequest(key=_key(first.key))
        return BatchGetAggregatesRequest(keys=[_key(part.key) for part in request.parts])
    if request.kind is Kind.DELETE:
        return DeleteAggregateRequest(
            key=_key(first.key),
            etag=first.etag,
            request_id=request.request_id,
            erase_history=request.erase_history,
        )
    if len(request.parts) == 1:
        update = update_of(first, request.request_id)
        update.validate_only = request.validate_only
        return update
    updates = [update_of(part) for part in request.parts]
    return BatchUpdateFeaturesRequest(updates=updates, request_id=request.request_id)


def update_of(part: Part, request_id: str = "") -> UpdateFeaturesRequest:
    return UpdateFeaturesRequest(
        key=_key(part.key),
        updates=[_feature_update(step) for step in part.steps],
        etag=part.etag,
        request_id=request_id,
        must_be_absent=part.must_be_absent,
    )


def success(request: Request, response: Response) -> Answer:
    """What a response tells."""
    return Answer(Verdict.ACKNOWLEDGED, "", tuple(_seen(request.parts, response)))


def failed(request: Request, failure: Failure) -> Answer:
    """What an error tells. Only what the server itself says can be a refusal."""
    if request.kind is Kind.READ and failure.reason == NOT_FOUND:
        return Answer(Verdict.ACKNOWLEDGED, "", (Seen(request.parts[0].key, 0, ""),))
    refused = failure.reason in _REFUSALS
    return Answer(Verdict.REFUSED if refused else Verdict.UNKNOWN, reason_of(failure))


def reason_of(failure: Failure) -> str:
    """The server's reason, or what grpc itself says."""
    if failure.reason:
        return failure.reason
    name: str = failure.code.name
    expected = failure.code in _OF_GRPC
    return name.lower() if expected else f"{name.lower()}: {failure.message}"


def _key(entity_id: str) -> EntityKey:
    return EntityKey(entity_type=ENTITY_TYPE, entity_id=entity_id)


def _feature_update(step: Step) -> FeatureUpdate:
    update = FeatureUpdate(name=step.feature)
    if step.verb == "remove":
        update.remove = True
    elif step.verb == "append":
        update.append.CopyFrom(
            AppendOperation(value=_value(step.value), max_length=step.max_length)
        )
    else:
        getattr(update, step.verb).CopyFrom(_value(step.value))
    if step.event_time is not None:
        update.event_time.FromNanoseconds(step.event_time)
    return update


def _value(value: int | str | None) -> FeatureValue:
    if isinstance(value, int):
        return FeatureValue(int64_value=value)
    return FeatureValue(string_value=value or "")


def _seen(parts: Sequence[Part], response: Response) -> Iterator[Seen]:
    match response:
        case UpdateFeaturesResponse():
            yield _updated(parts[0].key, response)
        case BatchUpdateFeaturesResponse():
            for part, each in zip(parts, response.responses, strict=True):
                yield _updated(part.key, each)
        case DeleteAggregateResponse():
            yield Seen(
                parts[0].key,
                response.version,
                "",
                update_time=nanoseconds(response.delete_time),
                replayed=response.replayed,
            )
        case GetAggregateResponse():
            yield _read(parts[0].key, response.aggregate)
        case BatchGetAggregatesResponse():
            for part, result in zip(parts, response.results, strict=True):
                found = result.HasField("aggregate")
                yield _read(part.key, result.aggregate) if found else Seen(part.key, 0, "")


def _updated(key: str, response: UpdateFeaturesResponse) -> Seen:
    return Seen(
        key,
        response.version,
        response.etag,
        update_time=nanoseconds(response.update_time),
        stale=tuple(sorted(response.stale_features)),
        replayed=response.replayed,
    )


def _read(key: str, aggregate: FeatureAggregate) -> Seen:
    content = digest(facts_of(aggregate.features))
    return Seen(key, aggregate.version, aggregate.etag, aggregate.uid, content)
