"""Requests that read."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp as TimestampMessage

from domain.entity_key import (
    EntityKey,
    all_sound,
    entity_id_problem,
    entity_type_problem,
    key_violations,
)
from domain.errors import LimitExceeded, StaleEtag
from domain.etag import Etag
from domain.limits import DEFAULT_PAGE, Limits
from domain.ports import AtCommitTime, AtEventTime, AtVersion, PointInTime, StoredAggregate
from domain.timestamp import Timestamp, timestamp_problem
from featom.v1 import feature_store_pb2 as pb
from server.conversion.fields import (
    Violations,
    read_etag,
    read_feature_names,
    read_instant,
    read_key,
    read_uuid,
)


class Read(NamedTuple):
    """One aggregate that is asked for."""

    key: EntityKey
    feature_names: frozenset[str]
    """Empty: all."""
    at_least: Etag | None
    point: PointInTime | None
    """None: the present."""


class BatchRead(NamedTuple):
    """Aggregates that are asked for together."""

    keys: Sequence[EntityKey]
    feature_names: frozenset[str]
    at_least: Etag | None


class Page(NamedTuple):
    """A page of a list that is asked for."""

    entity_type: str
    after: str
    limit: int


def read_get(request: pb.GetAggregateRequest) -> Read:
    key = read_key(request.key)
    violations = Violations(key_violations(key))
    read = Read(
        key,
        read_feature_names(request.feature_names, violations),
        _read_consistency(request, violations),
        _read_point(request, violations),
    )
    violations.raise_if_any()
    return read


def read_batch_get(request: pb.BatchGetAggregatesRequest, limits: Limits) -> BatchRead:
    if len(request.keys) > limits.batch_keys:
        raise LimitExceeded("keys in a request", limits.batch_keys, len(request.keys))
    violations = Violations()
    if not request.keys:
        violations.note("keys", "must not be empty")
    keys = [EntityKey(key.entity_type, key.entity_id) for key in request.keys]
    violations += _keys_violations(keys)
    read = BatchRead(
        keys,
        read_feature_names(request.feature_names, violations),
        _read_consistency(request, violations),
    )
    violations.raise_if_any()
    return read


def read_list(request: pb.ListAggregatesRequest, limits: Limits) -> Page:
    violations = Violations()
    violations.note("entity_type", entity_type_problem(request.entity_type))
    size = read_page_size(request.page_size, DEFAULT_PAGE, limits.batch_keys, violations)
    after = read_page_token(request.page_token, request.entity_type, violations)
    violations.raise_if_any()
    return Page(request.entity_type, after, size)


def read_page_size(asked: int, default: int, most: int, violations: Violations) -> int:
    if asked < 0:
        violations.note("page_size", "must not be negative")
    return min(asked or default, most)


def page_token(entity_type: str, last_id: str) -> str:
    """The token that continues a list after an id."""
    return base64.urlsafe_b64encode(f"{entity_type}\n{last_id}".encode()).decode().rstrip("=")


def read_page_token(token: str, entity_type: str, violations: Violations) -> str:
    """The id after which a list goes on; empty if there is no token."""
    if not token:
        return ""
    try:
        return _read_page_token(token, entity_type)
    except ValueError as error:
        violations.note("page_token", str(error))
        return ""


def require_epoch(at_least: Etag | None, found: StoredAggregate | None) -> None:
    """A version of another epoch was lost with it, so nothing can be at least as new."""
    if at_least is not None and found is not None and at_least.epoch != found.epoch:
        raise StaleEtag(found.version)


def _keys_violations(keys: Sequence[EntityKey]) -> Violations:
    violations = Violations()
    types, ids = zip(*keys, strict=True) if keys else ((), ())
    type_problems = {each: entity_type_problem(each) for each in set(types)}
    if not any(type_problems.values()) and all_sound(ids):
        return violations
    for index, (entity_type, entity_id) in enumerate(keys):
        violations.note(f"keys[{index}].entity_type", type_problems[entity_type])
        violations.note(f"keys[{index}].entity_id", entity_id_problem(entity_id))
    return violations


def _read_consistency(
    request: pb.GetAggregateRequest | pb.BatchGetAggregatesRequest, violations: Violations
) -> Etag | None:
    """Every read of this server is strong, which is at least what was asked for."""
    if not request.HasField("consistency"):
        return None
    consistency = request.consistency
    chosen = consistency.WhichOneof("requirement")
    if chosen == "at_least_etag":
        field = "consistency.at_least_etag"
        if not consistency.at_least_etag:
            violations.note(field, "must not be empty")
        return read_etag(consistency.at_least_etag, violations, field)
    if chosen is not None and not getattr(consistency, chosen):
        violations.note(f"consistency.{chosen}", "may only be true")
    return None


def _read_point(request: pb.GetAggregateRequest, violations: Violations) -> PointInTime | None:
    chosen = request.WhichOneof("as_of")
    uid = read_uuid(request.uid, "uid", violations)
    if request.uid and chosen is None:
        violations.note("uid", "may only be set with as_of")
    read_time = None
    if request.HasField("read_time"):
        read_time = _read_time(request.read_time, "read_time", violations)
        if chosen != "as_of_version":
            violations.note("read_time", "may only be set with as_of_version")
    match chosen:
        case "as_of_version":
            if request.as_of_version < 1:
                violations.note("as_of_version", "must be 1 or more")
            return AtVersion(request.as_of_version, uid, read_time)
        case "as_of_commit_time":
            time = _read_time(request.as_of_commit_time, chosen, violations)
            return AtCommitTime(time, uid)
        case "as_of_event_time":
            return AtEventTime(_read_time(request.as_of_event_time, chosen, violations), uid)
        case _:
            return None


def _read_time(message: TimestampMessage, field: str, violations: Violations) -> Timestamp:
    timestamp = read_instant(message, field, violations)
    violations.note(field, timestamp_problem(timestamp))
    return timestamp


def _read_page_token(token: str, entity_type: str) -> str:
    padded = token + "=" * (-len(token) % 4)
    try:
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise ValueError("is not a page token of this store") from error
    token_type, _, last_id = text.partition("\n")
    if not last_id or entity_id_problem(last_id):
        raise ValueError("is not a page token of this store")
    if token_type != entity_type:
        raise ValueError(f"continues a list of {token_type}")
    return last_id
