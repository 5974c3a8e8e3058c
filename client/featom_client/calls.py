"""The calls of the contract: what is asked, and what the answer means. No I/O."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from featom_client.answers import (
    Aggregate,
    AggregateChange,
    Deleted,
    Updated,
    changed,
    deleted,
    updated,
)
from featom_client.contract import (
    FEATURE_STORE,
    BatchGetAggregatesRequest,
    BatchUpdateFeaturesRequest,
    Consistency,
    DeleteAggregateRequest,
    EntityKey,
    FeatureUpdate,
    GetAggregateRequest,
    ListAggregatesRequest,
    ListAggregateVersionsRequest,
    UpdateFeaturesRequest,
)
from featom_client.errors import Violation, invalid_request
from featom_client.operations import Change, feature_update
from featom_client.table import Table
from featom_client.values import to_timestamp

Answer = TypeVar("Answer")
PAGE: int = 500
_NEWEST_FIRST: Final[Any] = 1
_OLDEST_FIRST: Final[Any] = 2


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One call, as often as it is made."""

    method: str
    """Such as `/package.Service/Method`."""
    request: Any
    """A message, or the bytes of one."""
    read: Callable[[Any], Answer]
    """What the answering message means."""
    request_id: str = ""
    repeatable: bool = True
    """It may be made again although it may have been applied."""


def update_request(
    entity_type: str,
    entity_id: str,
    changes: Mapping[str, Change],
    *,
    event_time: datetime | None = None,
    etag: str | None = None,
    must_be_absent: bool = False,
    request_id: str | None = None,
    validate_only: bool = False,
    return_aggregate: bool = False,
) -> UpdateFeaturesRequest:
    """Raises InvalidRequest, naming all that cannot be sent."""
    request = UpdateFeaturesRequest(
        key=entity_key(entity_type, entity_id),
        updates=feature_updates(changes),
        must_be_absent=must_be_absent,
        validate_only=validate_only,
        return_aggregate=return_aggregate,
    )
    if etag is not None:
        request.etag = precondition(etag)
    if request_id is not None:
        request.request_id = request_id
    if event_time is not None:
        request.event_time.CopyFrom(moment("event_time", event_time))
    return request


def feature_updates(changes: Mapping[str, Change]) -> list[FeatureUpdate]:
    """Raises InvalidRequest, with a violation for each feature that cannot be sent."""
    try:
        return [feature_update(name, change) for name, change in changes.items()]
    except (TypeError, ValueError):
        problems = filter(None, (_problem(name, change) for name, change in changes.items()))
        raise invalid_request("some features cannot be sent", *problems) from None


def _problem(name: str, change: Change) -> Violation | None:
    try:
        feature_update(name, change)
    except (TypeError, ValueError) as error:
        return Violation(str(name), str(error))
    return None


def update(request: UpdateFeaturesRequest) -> Call[Updated]:
    """A write always has an id, so that it can be sent again."""
    if not request.request_id:
        request.request_id = str(uuid.uuid4())
    return Call(FEATURE_STORE + "UpdateFeatures", request, updated, request.request_id)


def update_batch(
    requests: Iterable[UpdateFeaturesRequest], request_id: str | None = None
) -> Call[tuple[Updated, ...]]:
    name = request_id or str(uuid.uuid4())
    batch = BatchUpdateFeaturesRequest(updates=requests, request_id=name)
    return Call(FEATURE_STORE + "BatchUpdateFeatures", batch, _all_updated, name)


def _all_updated(answer: Any) -> tuple[Updated, ...]:
    return tuple(map(updated, answer.responses))


def delete(
    entity_type: str, entity_id: str, etag: str | None, request_id: str | None, erase_history: bool
) -> Call[Deleted]:
    request = DeleteAggregateRequest(
        key=entity_key(entity_type, entity_id),
        etag="" if etag is None else precondition(etag),
        request_id=request_id or str(uuid.uuid4()),
        erase_history=erase_history,
    )
    return Call(FEATURE_STORE + "DeleteAggregate", request, deleted, request.request_id)


def get(
    entity_type: str,
    entity_id: str,
    features: Iterable[str] | None,
    consistency: Consistency | None,
    as_of_version: int | None,
    as_of_commit_time: datetime | None,
    as_of_event_time: datetime | None,
    uid: str | None,
    read_time: datetime | None,
) -> Call[Aggregate]:
    request = GetAggregateRequest(
        key=entity_key(entity_type, entity_id),
        feature_names=feature_names(features),
        consistency=consistency,
        uid=uid or "",
    )
    pasts = (as_of_version, as_of_commit_time, as_of_event_time)
    if len(pasts) - pasts.count(None) > 1:
        raise invalid_request("one as_of_… at most can be given")
    if as_of_version is not None:
        request.as_of_version = as_of_version
    if as_of_commit_time is not None:
        request.as_of_commit_time.CopyFrom(moment("as_of_commit_time", as_of_commit_time))
    if as_of_event_time is not None:
        request.as_of_event_time.CopyFrom(moment("as_of_event_time", as_of_event_time))
    if read_time is not None:
        request.read_time.CopyFrom(moment("read_time", read_time))
    return Call(FEATURE_STORE + "GetAggregate", request, _one)


def _one(answer: Any) -> Aggregate:
    return Aggregate(answer.aggregate, _read_time(answer), tuple(answer.inexact_features))


def _read_time(answer: Any) -> Any:
    """None from a server that is too old to say it."""
    return answer.read_time if answer.HasField("read_time") else None


def get_many(
    entity_type: str,
    entity_ids: Iterable[str],
    features: Iterable[str] | None,
    consistency: Consistency | None,
) -> Call[Table]:
    ids = tuple(entity_ids)
    names = feature_names(features)
    request = BatchGetAggregatesRequest(
        keys=[entity_key(entity_type, entity_id) for entity_id in ids],
        feature_names=names,
        consistency=consistency,
    )

    def read(answer: Any) -> Table:
        found = [each.aggregate if each.HasField("aggregate") else None for each in answer.results]
        return Table(ids, found, tuple(names) or None, _read_time(answer))

    return Call(FEATURE_STORE + "BatchGetAggregates", request, read)


def list_page(entity_type: str, page_token: str) -> Call[tuple[list[Aggregate], str]]:
    """One page, and the token of the next; empty if it was the last."""
    request = ListAggregatesRequest(entity_type=entity_type, page_size=PAGE, page_token=page_token)
    return Call(FEATURE_STORE + "ListAggregates", request, _page)


def _page(answer: Any) -> tuple[list[Aggregate], str]:
    return list(map(Aggregate, answer.aggregates)), answer.next_page_token


def history_page(
    entity_type: str, entity_id: str, uid: str | None, oldest_first: bool, page_token: str
) -> Call[tuple[list[AggregateChange], str]]:
    """One page, and the token of the next; empty if it was the last."""
    request = ListAggregateVersionsRequest(
        key=entity_key(entity_type, entity_id),
        uid=uid or "",
        order=_OLDEST_FIRST if oldest_first else _NEWEST_FIRST,
        page_size=PAGE,
        page_token=page_token,
    )
    return Call(FEATURE_STORE + "ListAggregateVersions", request, _changes)


def _changes(answer: Any) -> tuple[list[AggregateChange], str]:
    return list(map(changed, answer.changes)), answer.next_page_token


def consistency(at_least_etag: str | None, eventual: bool) -> Consistency | None:
    """None: strong."""
    if at_least_etag is not None and eventual:
        raise invalid_request("at_least_etag and eventual exclude each other")
    if at_least_etag is not None:
        return Consistency(at_least_etag=precondition(at_least_etag))
    return Consistency(eventual=True) if eventual else None


def entity_key(entity_type: str, entity_id: str) -> EntityKey:
    try:
        return EntityKey(entity_type=entity_type, entity_id=entity_id)
    except (TypeError, ValueError):  # no text, or half of a surrogate pair
        raise invalid_request(
            f"entity type and id must be text, not {entity_type!r} and {entity_id!r}"
        ) from None


def feature_names(features: Iterable[str] | None) -> Sequence[str]:
    """A single name is not taken for the letters of it."""
    if isinstance(features, str):
        raise invalid_request(f"features must be a list of names, not {features!r}")
    return [] if features is None else list(features)


def precondition(etag: str) -> str:
    """An empty etag would be no condition at all: nobody who gives one means that."""
    if not etag:
        raise invalid_request("the etag is empty: what was read has none, or is not there")
    return etag


def moment(name: str, value: datetime) -> Any:
    try:
        return to_timestamp(value)
    except (TypeError, ValueError) as error:
        raise invalid_request("the time cannot be sent", Violation(name, str(error))) from None
