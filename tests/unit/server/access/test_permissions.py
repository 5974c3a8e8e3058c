"""The one table from RPCs to permissions: nothing is missing, and each needs what it should."""

from typing import Any

import pytest
from google.protobuf.message import Message

from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as Key
from featom.v1.entity_type_pb2 import EntityType
from server.access.auditing import VERSIONS
from server.access.permissions import RPCS, Need, Permission
from server.services.entity_types import SERVICE as TYPES_SERVICE
from server.services.feature_store import SERVICE

READ, WRITE, ADMIN = Permission.READ, Permission.WRITE, Permission.ADMIN
STORE = "/featom.v1.FeatureStoreService/"
CARD, SHOP = Key(entity_type="card", entity_id="1"), Key(entity_type="shop", entity_id="2")
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for service in (SERVICE, TYPES_SERVICE)
    for method in service.methods
}


def test_every_rpc_is_in_the_table_and_nothing_else() -> None:
    assert RPCS.keys() == METHODS.keys()


@pytest.mark.parametrize("name", RPCS)
def test_a_request_is_that_of_the_rpc(name: str) -> None:
    assert RPCS[name].request.DESCRIPTOR.full_name == METHODS[name].input_type.full_name


def test_every_rpc_that_changes_something_can_be_audited() -> None:
    changing = {rpc.request for rpc in RPCS.values() if rpc.mutated and not rpc.by_message}
    assert VERSIONS.keys() == changing
    assert {name.rpartition("/")[2] for name, rpc in RPCS.items() if rpc.mutated} == {
        "UpdateFeatures",
        "BatchUpdateFeatures",
        "StreamUpdateFeatures",
        "DeleteAggregate",
        "ApplyEntityType",
        "DeleteEntityType",
    }


def update(key: Key = CARD, **rest: Any) -> pb.UpdateFeaturesRequest:
    return pb.UpdateFeaturesRequest(key=key, **rest)


CASES: list[tuple[str, Message, list[tuple[Permission, str]]]] = [
    ("UpdateFeatures", update(), [(WRITE, "card")]),
    ("UpdateFeatures", update(return_aggregate=True), [(WRITE, "card"), (READ, "card")]),
    ("UpdateFeatures", update(validate_only=True), [(WRITE, "card")]),
    (
        "BatchUpdateFeatures",
        pb.BatchUpdateFeaturesRequest(
            updates=[update(), update(SHOP, return_aggregate=True), update()]
        ),
        [(WRITE, "card"), (WRITE, "shop"), (READ, "shop")],
    ),
    (
        "StreamUpdateFeatures",
        pb.StreamUpdateFeaturesRequest(update=update(return_aggregate=True)),
        [(WRITE, "card"), (READ, "card")],
    ),
    ("DeleteAggregate", pb.DeleteAggregateRequest(key=CARD), [(WRITE, "card")]),
    (
        "DeleteAggregate",
        pb.DeleteAggregateRequest(key=CARD, erase_history=True),
        [(WRITE, "card"), (ADMIN, "card")],
    ),
    ("GetAggregate", pb.GetAggregateRequest(key=CARD), [(READ, "card")]),
    (
        "BatchGetAggregates",
        pb.BatchGetAggregatesRequest(keys=[CARD, SHOP, CARD]),
        [(READ, "card"), (READ, "shop")],
    ),
    (
        "ListAggregateVersions",
        pb.ListAggregateVersionsRequest(key=CARD),
        [(READ, "card")],
    ),
    ("ListAggregates", pb.ListAggregatesRequest(entity_type="card"), [(READ, "card")]),
    (
        "ApplyEntityType",
        types_pb.ApplyEntityTypeRequest(entity_type=EntityType(name="card"), validate_only=True),
        [(ADMIN, "card")],
    ),
    ("DeleteEntityType", types_pb.DeleteEntityTypeRequest(name="card"), [(ADMIN, "card")]),
    ("GetEntityType", types_pb.GetEntityTypeRequest(name="card"), [(READ, "card")]),
    ("ListEntityTypes", types_pb.ListEntityTypesRequest(), [(READ, "*")]),
    (
        "CheckAggregates",
        types_pb.CheckAggregatesRequest(entity_type="card"),
        [(READ, "card"), (ADMIN, "card")],
    ),
]


def rpc_of(method: str) -> str:
    (name,) = (each for each in RPCS if each.endswith(f"/{method}"))
    return name


@pytest.mark.parametrize(("method", "request_", "needs"), CASES)
def test_a_request_needs_the_permissions_for_all_that_it_touches(
    method: str, request_: Message, needs: list[tuple[Permission, str]]
) -> None:
    assert list(RPCS[rpc_of(method)].needs(request_)) == [Need(*need) for need in needs]


def test_every_rpc_has_a_case() -> None:
    assert {rpc_of(method) for method, _, _ in CASES} == RPCS.keys()


def test_what_is_changed_is_named_key_by_key() -> None:
    batch = pb.BatchUpdateFeaturesRequest(updates=[update(), update(SHOP)])
    mutated = RPCS[rpc_of("BatchUpdateFeatures")].mutated
    assert mutated is not None
    assert mutated(batch) == [EntityKey("card", "1"), EntityKey("shop", "2")]


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        (
            f"{STORE}BatchUpdateFeatures",
            pb.BatchUpdateFeaturesRequest(updates=[pb.UpdateFeaturesRequest()] * 1_001),
        ),
        (f"{STORE}BatchGetAggregates", pb.BatchGetAggregatesRequest(keys=[CARD] * 1_001)),
    ],
)
def test_of_more_than_a_request_may_hold_nobody_looks_at_each(name: str, request_: Message) -> None:
    with pytest.raises(LimitExceeded):
        RPCS[name].needs(request_)
    mutated = RPCS[name].mutated
    assert mutated is None or len(mutated(request_)) == 1_000


def test_of_names_that_cannot_be_the_audit_log_is_told_the_beginning() -> None:
    key = Key(entity_type="x" * 1_000_000, entity_id="y" * 1_000_000)
    mutated = RPCS[f"{STORE}UpdateFeatures"].mutated
    assert mutated is not None
    assert mutated(pb.UpdateFeaturesRequest(key=key)) == [EntityKey("x" * 64, "y" * 257)]
