"""Who is known, who may do what, and what is written down of it; all over a real port."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.attacks.attacks import listing
from tests.attacks.bad_tokens import BAD_TOKENS
from tests.attacks.requests import REFLECTIONS
from tests.kit.refusal import refusal
from tests.kit.secured_server import NOBODY, OWNER, READER, Fortress, bearer

SECRET = "a value that nobody may see"


def update(entity_id: str, entity_type: str = "card", **rest: Any) -> pb.UpdateFeaturesRequest:
    item = pb.FeatureUpdate(name="f", set=FeatureValue(string_value=SECRET))
    key = EntityKey(entity_type=entity_type, entity_id=entity_id)
    return pb.UpdateFeaturesRequest(key=key, updates=[item], **rest)


@pytest.fixture
async def store(fortress: Fortress) -> AsyncIterator[Any]:
    credentials = fortress.credentials(fortress.client)
    async with grpc.aio.secure_channel(fortress.server.address, credentials) as channel:
        yield FeatureStoreServiceStub(channel)


@pytest.mark.parametrize("sort", BAD_TOKENS)
async def test_a_bad_token_is_refused_although_the_certificate_is_good(
    sort: str, fortress: Fortress, store: Any
) -> None:
    token = bearer(BAD_TOKENS[sort](fortress))
    request = pb.ListAggregatesRequest(entity_type="nothing")
    refused = await refusal(store.ListAggregates(request, metadata=token))
    assert refused.told == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


def test_without_a_token_the_certificate_names_the_caller(fortress: Fortress) -> None:
    owner = fortress.authority.issue("anybody", uris=["spiffe://test/owner"])
    liar = fortress.authority.issue("spiffe://test/owner")
    with fortress.channel() as client:
        assert listing(client)[0] is StatusCode.OK
        assert listing(client, entity_type="card")[0] is StatusCode.PERMISSION_DENIED
    with fortress.channel(owner) as channel:
        assert listing(channel, entity_type="card")[0] is StatusCode.OK
    with fortress.channel(liar) as channel:
        assert listing(channel, entity_type="card")[0] is StatusCode.PERMISSION_DENIED


async def test_what_is_not_granted_is_refused_and_all_of_it_is_named(
    fortress: Fortress, store: Any
) -> None:
    batch = pb.BatchUpdateFeaturesRequest(
        updates=[update("1"), update("2", "shop"), update("1", return_aggregate=True)]
    )
    refused = await refusal(store.BatchUpdateFeatures(batch, metadata=fortress.as_caller(READER)))
    assert refused.told == (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert refused.metadata == {"refused": "write card,write shop"}
    keys = [EntityKey(entity_type=each, entity_id="1") for each in ("card", "shop", "card")]
    request = pb.BatchGetAggregatesRequest(keys=keys)
    refused = await refusal(store.BatchGetAggregates(request, metadata=fortress.as_caller(READER)))
    assert refused.metadata == {"refused": "read shop"}
    refused = await refusal(store.BatchGetAggregates(request, metadata=fortress.as_caller(NOBODY)))
    assert refused.metadata == {"refused": "read card,read shop"}


async def test_a_message_of_a_stream_that_is_refused_does_not_end_it(
    fortress: Fortress, store: Any
) -> None:
    requests = [
        pb.StreamUpdateFeaturesRequest(sequence=number, update=update(f"s{number}", each))
        for number, each in enumerate(["log", "shop", "log"])
    ]
    call = store.StreamUpdateFeatures(iter(requests), metadata=fortress.as_caller(READER))
    answers = {answer.sequence: answer async for answer in call}
    assert [answers[number].HasField("response") for number in range(3)] == [True, False, True]
    error = answers[1].error
    info = ErrorInfo()
    assert error.details[0].Unpack(info)
    assert (error.code, info.metadata["refused"]) == (7, "write shop")


def test_health_is_open_to_all_who_get_through_and_reflection_to_all_who_are_known(
    fortress: Fortress,
) -> None:
    nameless = fortress.authority.issue("")
    asked = ServerReflectionRequest(list_services="")
    with fortress.channel(nameless) as channel:
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            HealthCheckRequest.SerializeToString,
            HealthCheckResponse.FromString,
        )
        assert check(HealthCheckRequest(), timeout=60).status == HealthCheckResponse.SERVING
        for name in REFLECTIONS:
            reflect: Any = channel.stream_stream(
                name,
                ServerReflectionRequest.SerializeToString,
                ServerReflectionResponse.FromString,
            )
            with pytest.raises(grpc.RpcError) as refused:
                next(reflect(iter([asked]), timeout=60))
            assert refused.value.code() is StatusCode.UNAUTHENTICATED
            answer = next(reflect(iter([asked]), timeout=60, metadata=fortress.as_caller(NOBODY)))
            assert len(answer.list_services_response.service) == 5
        assert listing(channel)[0] is StatusCode.UNAUTHENTICATED


async def test_every_rpc_refuses_whom_it_does_not_know_and_whom_nothing_is_granted(
    fortress: Fortress, store: Any
) -> None:
    types: Any
    credentials = fortress.credentials(fortress.authority.issue(""))
    key = EntityKey(entity_type="card", entity_id="1")
    async with grpc.aio.secure_channel(fortress.server.address, credentials) as channel:
        store, types = FeatureStoreServiceStub(channel), EntityTypeServiceStub(channel)
        calls = [
            (store.UpdateFeatures, update("1")),
            (store.BatchUpdateFeatures, pb.BatchUpdateFeaturesRequest(updates=[update("1")])),
            (store.DeleteAggregate, pb.DeleteAggregateRequest(key=key)),
            (store.GetAggregate, pb.GetAggregateRequest(key=key)),
            (store.BatchGetAggregates, pb.BatchGetAggregatesRequest(keys=[key])),
            (store.ListAggregates, pb.ListAggregatesRequest(entity_type="card")),
            (types.ApplyEntityType, types_pb.ApplyEntityTypeRequest()),
            (types.GetEntityType, types_pb.GetEntityTypeRequest(name="card")),
            (types.ListEntityTypes, types_pb.ListEntityTypesRequest()),
            (types.DeleteEntityType, types_pb.DeleteEntityTypeRequest(name="card")),
            (types.CheckAggregates, types_pb.CheckAggregatesRequest(entity_type="card")),
        ]
        for call, request in calls:
            refused = await refusal(call(request))
            assert refused.code is StatusCode.UNAUTHENTICATED
            refused = await refusal(call(request, metadata=fortress.as_caller(NOBODY)))
            assert refused.code is StatusCode.PERMISSION_DENIED


async def test_changes_are_in_the_audit_log_and_name_their_actor_and_no_value(
    fortress: Fortress, store: Any
) -> None:
    metadata = [*fortress.as_caller(OWNER), ("x-request-id", "audited-1")]
    done = await store.UpdateFeatures(update("audited"), metadata=metadata)
    metadata = [*fortress.as_caller(NOBODY), ("x-request-id", "audited-2")]
    await refusal(store.UpdateFeatures(update("audited"), metadata=metadata))
    wanted = {
        "audited-1": (f"jwt:{OWNER}", "OK", "", done.version),
        "audited-2": (f"jwt:{NOBODY}", "PERMISSION_DENIED", "PERMISSION_DENIED", None),
    }
    latest = time.monotonic() + 60
    told: dict[str, Any] = {}
    while told != wanted:
        assert time.monotonic() < latest, told
        text = fortress.audit_log.read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        found = [line for line in lines if line["request_id"].startswith("audited-")]
        told = {
            each["request_id"]: tuple(
                each[name] for name in ("principal", "code", "reason", "version")
            )
            for each in found
        }
        await asyncio.sleep(0.05)
    assert all(each["entities"] == [["card", "audited"]] for each in found)
    assert SECRET not in text
