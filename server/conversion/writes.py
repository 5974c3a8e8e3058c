"""Requests that write."""

from collections.abc import Callable
from typing import Any, Final

from codec.values import decode_value
from domain.batch_errors import placed
from domain.entity_key import key_violations
from domain.errors import Corrupted, InvalidValue, LimitExceeded
from domain.limits import Limits
from domain.operations import (
    Append,
    Increment,
    Maximum,
    Minimum,
    Operation,
    Remove,
    SetValue,
)
from domain.update import (
    Deletion,
    FeatureUpdate,
    Update,
    UpdateBatch,
    of_feature,
    update_violations,
)
from domain.values import FeatureValue, ValueKind
from featom.v1 import feature_store_pb2 as pb
from featom.v1 import value_pb2
from server.conversion.fields import (
    Violations,
    fingerprint,
    read_etag,
    read_instant,
    read_key,
    read_request_id,
)


def read_update(request: pb.UpdateFeaturesRequest, actor: str = "") -> Update:
    """What an update asks for; `actor` is who asks.

    Whatever cannot be read goes along as `malformed`, for the aggregate to report with everything
    else that is wrong. Without a proper key there is no aggregate to ask: then raises InvalidValue.
    """
    update = _read_update(request, Violations(), actor)
    if problems := key_violations(update.key):
        raise InvalidValue([*problems, *update_violations(update)])
    return update


def read_update_batch(
    request: pb.BatchUpdateFeaturesRequest, limits: Limits, actor: str = ""
) -> UpdateBatch:
    """What a batch asks for. Raises as `read_update`, of all updates together."""
    if len(request.updates) > limits.batch_keys:
        raise LimitExceeded("updates in a batch", limits.batch_keys, len(request.updates))
    violations = Violations()
    if not request.updates:
        violations.note("updates", "must not be empty")
    request_id = read_request_id(request.request_id, violations)
    updates = tuple(_read_update(item, _not_in_batches(item), actor) for item in request.updates)
    batch = UpdateBatch(
        updates=updates,
        request_id=request_id,
        fingerprint=fingerprint(request) if request_id else b"",
    )
    if violations or any(key_violations(update.key) for update in updates):
        for index, update in enumerate(updates):
            problems = [*key_violations(update.key), *update_violations(update)]
            violations += placed(problems, index, update.key)
        violations.raise_if_any()
    return batch


def _not_in_batches(request: pb.UpdateFeaturesRequest) -> Violations:
    """What an update must not have when it is one of a batch."""
    violations = Violations()
    if request.request_id:
        violations.note("request_id", "belongs to the batch, not to one of its updates")
    if request.validate_only:
        violations.note("validate_only", "must not be set in a batch")
    return violations


def _read_update(request: pb.UpdateFeaturesRequest, malformed: Violations, actor: str) -> Update:
    request_id = read_request_id(request.request_id, malformed)
    updates = tuple(
        [_read_feature_update(index, item, malformed) for index, item in enumerate(request.updates)]
    )
    etag = read_etag(request.etag, malformed)
    if request.etag and request.must_be_absent:
        malformed.note("etag", "must not be set together with must_be_absent")
        malformed.note("must_be_absent", "must not be set together with an etag")
    event_time = None
    if request.HasField("event_time"):
        event_time = read_instant(request.event_time, "event_time", malformed)
    return Update(
        key=read_key(request.key),
        updates=updates,
        etag=etag,
        must_be_absent=request.must_be_absent,
        request_id=request_id,
        fingerprint=fingerprint(request) if request_id else b"",
        event_time=event_time,
        validate_only=request.validate_only,
        return_aggregate=request.return_aggregate,
        malformed=tuple(malformed),
        actor=actor,
    )


def read_deletion(request: pb.DeleteAggregateRequest, actor: str = "") -> Deletion:
    violations = Violations(key_violations(read_key(request.key)))
    request_id = read_request_id(request.request_id, violations)
    etag = read_etag(request.etag, violations)
    violations.raise_if_any()
    return Deletion(
        key=read_key(request.key),
        etag=etag,
        request_id=request_id,
        fingerprint=fingerprint(request) if request_id else b"",
        erase_history=request.erase_history,
        actor=actor,
    )


def _read_feature_update(
    index: int, item: pb.FeatureUpdate, malformed: Violations
) -> FeatureUpdate:
    event_time = None
    if item.HasField("event_time"):
        event_time = read_instant(item.event_time, f"updates[{index}].event_time", malformed)
    return FeatureUpdate(item.name, _read_operation(index, item, malformed), event_time)


def _read_operation(index: int, item: pb.FeatureUpdate, malformed: Violations) -> Operation | None:
    # Mostly it is this one, and to ask for the name of it costs three times as much.
    chosen = "set" if item.HasField("set") else item.WhichOneof("operation")
    if chosen is None:
        field = f"updates[{index}].operation"
        problem = "must be set, to an operation that this server knows"
        malformed.note(field, of_feature(item.name, problem))
        return None
    argument: Any = getattr(item, chosen)
    operation = _WITH_VALUE.get(chosen)
    if operation is not None:
        value = _read_value(argument, index, chosen, item.name, malformed)
        return None if value is None else operation(value)
    if chosen == "append":
        value = _read_value(argument.value, index, "append.value", item.name, malformed)
        return None if value is None else Append(value, argument.max_length)
    assert chosen == "remove"
    if not argument:
        malformed.note(f"updates[{index}].remove", of_feature(item.name, "may only be true"))
    return Remove()


_WITH_VALUE: Final[dict[str, Callable[[FeatureValue], Operation]]] = {
    "set": SetValue,
    "increment": Increment,
    "maximum": Maximum,
    "minimum": Minimum,
}


def _read_value(
    message: value_pb2.FeatureValue, index: int, part: str, name: str, malformed: Violations
) -> FeatureValue | None:
    try:
        value = decode_value(message)
    except Corrupted:
        field = f"updates[{index}].{part}"
        problem = "must have a value, of a kind that this server knows"
        malformed.note(field, of_feature(name, problem))
        return None
    if value.kind is ValueKind.TIMESTAMP:
        field = f"updates[{index}].{part}.{value.kind.value}"
        read_instant(message.timestamp_value, field, malformed)
    return value
