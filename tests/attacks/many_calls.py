"""Calls in numbers: what honest callers ask for, and what others put into it."""

import asyncio
from collections.abc import Iterable

import grpc

from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2 import (
    FeatureUpdate,
    GetAggregateRequest,
    UpdateFeaturesRequest,
)
from featom.v1.value_pb2 import FeatureValue
from tests.attacks.attacks import MIB, STORE, listing
from tests.attacks.bad_tokens import BAD_TOKENS
from tests.attacks.hostile import HOSTILE, code_of, places
from tests.attacks.mutations import plain
from tests.attacks.requests import KEY, REQUESTS
from tests.kit.secured_server import OWNER, Fortress, bearer

_AT_ONCE = 32
_CLIENTS = 20


async def honest_calls(fortress: Fortress) -> None:
    """Of some clients at once: ten calls of each RPC, half of them with a mistake; one is large."""
    calls = [
        (rpc, request.SerializeToString())
        for rpc, right in REQUESTS.items()
        for request in (right, plain(right))
    ]
    large = FeatureUpdate(name="large", set=FeatureValue(bytes_value=bytes(MIB)))
    update = UpdateFeaturesRequest(key=KEY, updates=[large])
    mixed = [*calls * 5, (f"{STORE}UpdateFeatures", update.SerializeToString())]
    await asyncio.gather(*(_send(fortress, mixed) for _ in range(_CLIENTS)))


async def hostile_texts(fortress: Fortress) -> None:
    """Each hostile text in each place where a text can be."""
    await _send(
        fortress,
        [
            (rpc, replaced(text).SerializeToString())
            for rpc in REQUESTS
            for _, replaced in places(rpc)
            for text in HOSTILE
        ],
    )


async def long_names(fortress: Fortress, count: int) -> None:
    """Names of features and of entity types, a mebibyte each and none twice."""
    for number in range(count):
        name = f"n{number}".ljust(MIB, "x")
        asked = [
            GetAggregateRequest(key=KEY, feature_names=[name]),
            GetAggregateRequest(key=EntityKey(entity_type=name, entity_id="1")),
        ]
        calls = [(f"{STORE}GetAggregate", request.SerializeToString()) for request in asked]
        await _send(fortress, calls)


def bad_tokens(fortress: Fortress, each: int) -> None:
    """So many of each sort."""
    with fortress.channel() as channel:
        for make in BAD_TOKENS.values():
            for _ in range(each):
                listing(channel, bearer(make(fortress)))


async def _send(fortress: Fortress, calls: Iterable[tuple[str, bytes]]) -> None:
    metadata = fortress.as_caller(OWNER)
    contention = asyncio.Semaphore(_AT_ONCE)

    async def send(rpc: str, data: bytes) -> None:
        async with contention:
            await code_of(channel, rpc, data, metadata)

    credentials = fortress.credentials(fortress.client)
    alone = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(fortress.server.address, credentials, alone) as channel:
        await asyncio.gather(*(send(*call) for call in calls))
