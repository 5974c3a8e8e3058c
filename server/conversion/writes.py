"""Requests that write."""

from collections.abc import Callable
from typing import Any, Final

from domain.entity_key import key_violations
from domain.instant import Instant
from domain.operations import (
    Append,
    Increment,
    Maximum,
    Minimum,
    Operation,
    Remove,
    SetValue,
)
from domain.update import Deletion, FeatureUpdate, Update, update_violations
from domain.values import FeatureValue
from featom.v1 import feature_store_pb2 as pb
from featom.v1 import value_pb2
from repository.codec.values import decode_value
from server.conversion.fields import (
    fingerprint,
    read_etag,
    read_instant,
    read_key,
    read_request_id,
)
from server.conversion.violations import Violations


def read_update(request: pb.UpdateFeaturesRequest) -> Update:
    """What an update asks for.

    Whatever cannot be read goes along as `malformed`, for the aggregate to report with everything
    else that is wrong. Without a proper key there is no aggregate to ask: then raises InvalidValue.
    """
    malformed = Violations()
    request_id = read_request_id(request.request_id, malformed)
    update = Update(
        key=read_key(request.key),
        updates=tuple(
            _read_feature_update(item, f"updates[{index}]", malformed)
            for index, item in enumerate(request.updates)
        ),
        etag=read_etag(request.etag, malformed),
        request_id=request_id,
        fingerprint=fingerprint(request) if request_id else b"",
        event_time=_read_event_time(request, "event_time", malformed),
        validate_only=request.validate_only,
        return_aggregate=request.return_aggregate,
        malformed=tuple(malformed),
    )
    if problems := key_violations(update.key):
        Violations([*problems, *update_violations(update)]).raise_if_any()
    return update


def read_deletion(request: pb.DeleteAggregateRequest) -> Deletion:
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
    )


def _read_feature_update(
    item: pb.FeatureUpdate, field: str, malformed: Violations
) -> FeatureUpdate:
    chosen = item.WhichOneof("operation")
    operation: Operation | None = None
    if chosen is None:
        malformed.note(f"{field}.operation", "must be set, to an operation that this server knows")
    elif chosen == "remove":
        operation = Remove()
        if not item.remove:
            malformed.note(f"{field}.remove", "may only be true")
    elif chosen == "append":
        value = _read_value(item.append.value, f"{field}.append.value", malformed)
        operation = None if value is None else Append(value, item.append.max_length)
    else:
        value = _read_value(getattr(item, chosen), f"{field}.{chosen}", malformed)
        operation = None if value is None else _WITH_VALUE[chosen](value)
    event_time = _read_event_time(item, f"{field}.event_time", malformed)
    return FeatureUpdate(item.name, operation, event_time)


_WITH_VALUE: Final[dict[str, Callable[[FeatureValue], Operation]]] = {
    "set": SetValue,
    "increment": Increment,
    "maximum": Maximum,
    "minimum": Minimum,
}


def _read_value(
    message: value_pb2.FeatureValue, field: str, malformed: Violations
) -> FeatureValue | None:
    kind = message.WhichOneof("kind")
    if kind is None:
        malformed.note(field, "must have a value, of a kind that this server knows")
        return None
    if kind == "timestamp_value":
        read_instant(message.timestamp_value, f"{field}.{kind}", malformed)
    return decode_value(message)


def _read_event_time(message: Any, field: str, malformed: Violations) -> Instant | None:
    if not message.HasField("event_time"):
        return None
    return read_instant(message.event_time, field, malformed)
