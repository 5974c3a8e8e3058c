"""`python -m tests.consistency.heavy_callers ADDRESS SECONDS`: callers who ask for much.

A process of its own, so that what they receive holds up nobody who measures. Prints as JSON how
many calls of each sort ended how.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from codec.timestamps import encode_timestamp
from domain.timestamp import LATEST
from featom.v1 import aggregate_pb2
from featom.v1 import feature_store_pb2 as pb

LARGE_TYPE: Final = "large"
LONG_KEY: Final = ("long", "c-1")
"""Of an entity with a long history."""
AGGREGATES: Final = 100
"""Of LARGE_TYPE, named c-0 and so on."""
FITTING: Final = 60
"""As many of them are an answer that is just allowed."""

_SERVICE: Final = "/featom.v1.FeatureStoreService/"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
)
_SLOW_FOR: Final = 3.0

Call: TypeAlias = Callable[[grpc.aio.Channel], Awaitable[Any]]


def _keys(count: int) -> list[aggregate_pb2.EntityKey]:
    return [
        aggregate_pb2.EntityKey(entity_type=LARGE_TYPE, entity_id=f"c-{number % AGGREGATES}")
        for number in range(count)
    ]


def _batch(count: int) -> bytes:
    return pb.BatchGetAggregatesRequest(keys=_keys(count)).SerializeToString()


def _past() -> bytes:
    request = pb.GetAggregateRequest()
    request.key.entity_type, request.key.entity_id = LONG_KEY
    encode_timestamp(LATEST, request.as_of_event_time)
    return request.SerializeToString()


def unary(method: str, request: bytes) -> Call:
    """A call whose answer is taken at once."""

    async def call(channel: grpc.aio.Channel) -> None:
        multicallable: Any = channel.unary_unary(_SERVICE + method)
        await multicallable(request, timeout=30)

    return call


async def single_reads(channel: grpc.aio.Channel) -> None:
    get: Any = channel.unary_unary(_SERVICE + "GetAggregate")
    requests = [pb.GetAggregateRequest(key=key).SerializeToString() for key in _keys(64)]
    await asyncio.gather(*(get(request, timeout=30) for request in requests))


async def slow_read(channel: grpc.aio.Channel) -> None:
    """Take nothing of an answer but what gRPC takes by itself, and go away."""
    # To the server there is no difference.
    read: Any = channel.unary_stream(_SERVICE + "BatchGetAggregates")
    call = read(_batch(FITTING))
    await asyncio.sleep(_SLOW_FOR)
    if call.done():
        async for _ in call:  # raises what it was refused with
            pass
    call.cancel()


CALLERS: Final[dict[str, tuple[int, Call]]] = {
    "batches that fit": (2, unary("BatchGetAggregates", _batch(FITTING))),
    "batches that do not fit": (2, unary("BatchGetAggregates", _batch(300))),
    "slow readers": (20, slow_read),
    "single reads": (2, single_reads),
    "pages": (
        2,
        unary(
            "ListAggregates",
            pb.ListAggregatesRequest(entity_type=LARGE_TYPE, page_size=1_000).SerializeToString(),
        ),
    ),
    "reads of the past": (3, unary("GetAggregate", _past())),
}
"""How many of each sort, and what each does again and again."""


async def _call(name: str, call: Call, address: str, until: float, counts: Counter[str]) -> None:
    clock = asyncio.get_running_loop().time
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        while clock() < until:
            try:
                await call(channel)
                counts[f"{name}: OK"] += 1
            except grpc.aio.AioRpcError as error:
                counts[f"{name}: {error.code().name} {_reason(error)}"] += 1
                await asyncio.sleep(0.1)


def _reason(error: grpc.aio.AioRpcError) -> str:
    """Of a server's refusal; empty of an error of gRPC."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = ErrorInfo()
    if status is not None and status.details:
        status.details[0].Unpack(info)
    return info.reason


async def call_heavily(address: str, seconds: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    until = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(
        *(
            _call(name, call, address, until, counts)
            for name, (count, call) in CALLERS.items()
            for _ in range(count)
        )
    )
    return counts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call_heavily(sys.argv[1], float(sys.argv[2])))))
