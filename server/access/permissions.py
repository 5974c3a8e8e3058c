"""What each RPC needs: the one table from requests to permissions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import DEFAULT_LIMITS, LONGEST_ENTITY_TYPE, MAX_ENTITY_ID_BYTES
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb


class Permission(StrEnum):
    """What one may do with aggregates and entity types. None includes another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class Need(NamedTuple):
    """A permission that a request needs."""

    permission: Permission
    entity_type: str


LONGEST_TYPE: Final = LONGEST_ENTITY_TYPE + 1
"""A character more than the name of an entity type can have: of what strangers send as one, no more
is looked at or kept. The handler refuses it, whatever is granted."""
EVERY_TYPE: Final = "*"
"""Stands for all entity types; only a glob that allows each of them allows it."""


class Rpc(NamedTuple):
    """What is known of an RPC before it runs."""

    request: type[Message]
    """Of a stream: each message."""
    needs: Callable[[Any], Iterable[Need]]
    mutated: Callable[[Any], Sequence[EntityKey]] | None = None
    """What a request changes, for the audit log, no longer than names can be; with an empty id, an
    entity type. None: nothing, whatever is asked."""
    by_message: bool = False
    """A stream whose handler puts the message middleware around each message."""


def _several(asked: Sequence[Any], what: str) -> Sequence[Any]:
    """As the handler has it, before anybody looks at each of a million. Raises LimitExceeded."""
    if len(asked) > DEFAULT_LIMITS.batch_keys:
        raise LimitExceeded(what, DEFAULT_LIMITS.batch_keys, len(asked))
    return asked


def _read(entity_types: Iterable[str]) -> list[Need]:
    return [Need(Permission.READ, each) for each in entity_types]


def _update(request: pb.UpdateFeaturesRequest) -> list[Need]:
    entity_type = request.key.entity_type
    needs = [Need(Permission.WRITE, entity_type)]
    if request.return_aggregate:
        needs.append(Need(Permission.READ, entity_type))
    return needs


def _batch(request: pb.BatchUpdateFeaturesRequest) -> list[Need]:
    # In the order of the request, each once.
    updates = _several(request.updates, "updates in a batch")
    return list(dict.fromkeys(need for update in updates for need in _update(update)))


def _batch_get(request: pb.BatchGetAggregatesRequest) -> list[Need]:
    keys = _several(request.keys, "keys in a request")
    return _read(dict.fromkeys(key.entity_type for key in keys))


def _deletion(request: pb.DeleteAggregateRequest) -> list[Need]:
    needs = [Need(Permission.WRITE, request.key.entity_type)]
    if request.erase_history:
        needs.append(Need(Permission.ADMIN, request.key.entity_type))
    return needs


def _check(request: types_pb.CheckAggregatesRequest) -> list[Need]:
    # It tells ids and values, of any rule that the caller thinks of, and reads everything for it.
    entity_type = request.entity_type
    return [Need(Permission.READ, entity_type), Need(Permission.ADMIN, entity_type)]


def _admin(entity_type: str) -> list[Need]:
    return [Need(Permission.ADMIN, entity_type)]


def _key(request: Any) -> EntityKey:
    return EntityKey(
        request.key.entity_type[:LONGEST_TYPE], request.key.entity_id[: MAX_ENTITY_ID_BYTES + 1]
    )


def _type(name: str) -> EntityKey:
    return EntityKey(name[:LONGEST_TYPE], "")


_STORE: Final = "/featom.v1.FeatureStoreService/"
_TYPES: Final = "/featom.v1.EntityTypeService/"

RPCS: Final[Mapping[str, Rpc]] = {
    f"{_STORE}UpdateFeatures": Rpc(pb.UpdateFeaturesRequest, _update, lambda r: [_key(r)]),
    f"{_STORE}BatchUpdateFeatures": Rpc(
        pb.BatchUpdateFeaturesRequest,
        _batch,
        lambda r: [_key(each) for each in r.updates[: DEFAULT_LIMITS.batch_keys]],
    ),
    f"{_STORE}StreamUpdateFeatures": Rpc(
        pb.StreamUpdateFeaturesRequest,
        lambda r: _update(r.update),
        lambda r: [_key(r.update)],
        by_message=True,
    ),
    f"{_STORE}DeleteAggregate": Rpc(pb.DeleteAggregateRequest, _deletion, lambda r: [_key(r)]),
    f"{_STORE}GetAggregate": Rpc(pb.GetAggregateRequest, lambda r: _read([r.key.entity_type])),
    f"{_STORE}BatchGetAggregates": Rpc(pb.BatchGetAggregatesRequest, _batch_get),
    f"{_STORE}ListAggregates": Rpc(pb.ListAggregatesRequest, lambda r: _read([r.entity_type])),
    f"{_STORE}ListAggregateVersions": Rpc(
        pb.ListAggregateVersionsRequest, lambda r: _read([r.key.entity_type])
    ),
    f"{_TYPES}ApplyEntityType": Rpc(
        types_pb.ApplyEntityTypeRequest,
        lambda r: _admin(r.entity_type.name),
        lambda r: [_type(r.entity_type.name)],
    ),
    f"{_TYPES}DeleteEntityType": Rpc(
        types_pb.DeleteEntityTypeRequest,
        lambda r: _admin(r.name),
        lambda r: [_type(r.name)],
    ),
    f"{_TYPES}GetEntityType": Rpc(types_pb.GetEntityTypeRequest, lambda r: _read([r.name])),
    f"{_TYPES}ListEntityTypes": Rpc(types_pb.ListEntityTypesRequest, lambda _: _read([EVERY_TYPE])),
    f"{_TYPES}CheckAggregates": Rpc(types_pb.CheckAggregatesRequest, _check),
}
