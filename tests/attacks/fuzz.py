"""Mutated messages through a real port: every one must be answered, and none with INTERNAL.

`make fuzz` sends 100,000 of them; `python -m tests.attacks.fuzz --help` says more. A run can be
repeated by its seed. It fails too if the server holds a tenth more memory at the end than when the
first tenth of the messages had warmed it up.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import StatusCode
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionResponse

from featom.v1.feature_store_pb2 import StreamUpdateFeaturesResponse
from tests.attacks.database import attacked
from tests.attacks.mutations import mutated
from tests.attacks.requests import OPEN_REQUESTS, REFLECTIONS, REQUESTS, WATCH
from tests.kit.secured_server import OWNER, Fortress

CALLERS: Final = 32
ON_A_STREAM: Final = 10
ROUNDS: Final = 10
MOST_GROWTH: Final = 0.1
LASTING: Final[Mapping[str, float]] = {"max_connection_age": 120}
"""Settings with which no stream ends because its connection is old."""

SEEDS: Final = {**REQUESTS, **OPEN_REQUESTS}
STREAMS: Final[Mapping[str, Callable[[bytes], int]]] = {
    "/featom.v1.FeatureStoreService/StreamUpdateFeatures": lambda answer: (
        StreamUpdateFeaturesResponse.FromString(answer).error.code
    ),
    **dict.fromkeys(
        REFLECTIONS,
        lambda answer: ServerReflectionResponse.FromString(answer).error_response.error_code,
    ),
}
"""Those that take several messages, and the code that an answer has for one of them."""

# What a server that does its work never says. UNAVAILABLE is what a client makes of a crash.
BAD: Final = frozenset(
    {
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.DATA_LOSS,
        StatusCode.UNIMPLEMENTED,
        StatusCode.UNAUTHENTICATED,
    }
)


@dataclass
class Findings:
    """How the messages were answered."""

    codes: Counter[StatusCode] = field(default_factory=Counter)
    bad: list[tuple[str, StatusCode, str]] = field(default_factory=list)
    """RPC, code, and the message in hex."""

    def note(self, rpc: str, code: StatusCode, data: bytes, *, decided: bool = False) -> None:
        """`decided`: the server says UNAVAILABLE itself, such as to two who change one type."""
        self.codes[code] += 1
        if code in BAD and not (decided and code is StatusCode.UNAVAILABLE):
            self.bad.append((rpc, code, data.hex()))


async def fuzz(fortress: Fortress, messages: int, seed: int, only: str = "") -> Findings:
    """Send so many messages, to the RPCs whose name has `only` in it."""
    findings = Findings()
    made = _messages(messages, random.Random(seed), only)
    credentials = fortress.credentials(fortress.client)
    async with (
        grpc.aio.secure_channel(fortress.server.address, credentials) as channel,
        asyncio.TaskGroup() as callers,
    ):
        for _ in range(CALLERS):
            callers.create_task(_call(fortress, channel, made, findings))
    return findings


def _messages(count: int, chance: random.Random, only: str) -> Iterator[tuple[str, list[bytes]]]:
    """An RPC and what to send to it: one message, or some for a stream."""
    seeds = {rpc: request.SerializeToString() for rpc, request in SEEDS.items()}
    others = list(seeds.values())
    rpcs = [rpc for rpc in seeds if only in rpc]
    while count > 0:
        rpc = chance.choice(rpcs)
        several = min(count, ON_A_STREAM if rpc in STREAMS else 1)
        yield rpc, [mutated(SEEDS[rpc], others, chance) for _ in range(several)]
        count -= several


async def _call(
    fortress: Fortress,
    channel: grpc.aio.Channel,
    messages: Iterator[tuple[str, list[bytes]]],
    findings: Findings,
) -> None:
    # One iterator for all callers: each takes the next when it is free.
    for rpc, data in messages:
        metadata = _metadata(fortress)
        if rpc in STREAMS:
            await _stream(channel, rpc, data, metadata, findings)
        else:
            ask = _watch if rpc == WATCH else _unary
            code, decided = await ask(channel, rpc, data[0], metadata)
            findings.note(rpc, code, data[0], decided=decided)


_TOKENS: Final[dict[int, list[tuple[str, str]]]] = {}


def _metadata(fortress: Fortress) -> list[tuple[str, str]]:
    """A token for each half minute: to sign one takes longer than a call."""
    now = int(time.time() // 30)
    if now not in _TOKENS:
        _TOKENS[now] = fortress.as_caller(OWNER)
    return _TOKENS[now]


async def _unary(
    channel: grpc.aio.Channel, rpc: str, data: bytes, metadata: Any
) -> tuple[StatusCode, bool]:
    """The code, and whether the server gave it."""
    try:
        call: Any = channel.unary_unary(rpc)
        await call(data, timeout=60, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code(), "grpc-status-details-bin" in dict(error.trailing_metadata())
    return StatusCode.OK, True


async def _watch(
    channel: grpc.aio.Channel, rpc: str, data: bytes, metadata: Any
) -> tuple[StatusCode, bool]:
    """As `_unary`; who is told something watches no longer."""
    watch: Any = channel.unary_stream(rpc)
    call = watch(data, timeout=60, metadata=metadata)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code(), "grpc-status-details-bin" in dict(error.trailing_metadata())
    call.cancel()
    return StatusCode.OK, True


async def _stream(
    channel: grpc.aio.Channel, rpc: str, data: list[bytes], metadata: Any, findings: Findings
) -> None:
    """Send one message after the other, on a new stream when one has ended."""
    stream: Any = channel.stream_stream(rpc)
    call = None
    for message in data:
        call = call or stream(timeout=60, metadata=metadata)
        try:
            await call.write(message)
            answer = await call.read()
        except grpc.aio.AioRpcError:
            answer = grpc.aio.EOF
        if answer is not grpc.aio.EOF:
            findings.note(rpc, _CODES[STREAMS[rpc](answer)], message, decided=True)
        else:
            findings.note(rpc, await call.code(), message)
            call.cancel()
            call = None
    if call is not None:
        await call.done_writing()
        await call.code()


_CODES: Final = {code.value[0]: code for code in StatusCode}


async def _main(messages: int, seed: int, only: str) -> int:
    print(f"{messages:,} messages, seed {seed}")
    bad, memory = 0, []
    with tempfile.TemporaryDirectory(prefix="featom-fuzz-") as folder:
        async with attacked() as dsn:
            with Fortress(Path(folder)).serving(dsn, **LASTING) as fortress:
                for number in range(ROUNDS):
                    findings = await fuzz(fortress, messages // ROUNDS, seed + number, only)
                    bad += len(findings.bad)
                    memory.append(fortress.memory)
                    _tell(findings, memory[-1])
                well = fortress.is_well()
                log = fortress.server.log
    if "Traceback" in log:
        print(log[log.index("Traceback") :][:5_000])
    growth = memory[-1] / memory[0] - 1
    print(
        f"{bad} bad answers; the server is {'well' if well else 'NOT well'}; memory {growth:+.1%}"
    )
    return 1 if bad or not well or growth > MOST_GROWTH else 0


def _tell(findings: Findings, memory: int) -> None:
    counts = ", ".join(f"{count:,} {code.name}" for code, count in findings.codes.most_common())
    print(f"{memory >> 20} MiB; {counts}", flush=True)
    for rpc, code, data in findings.bad[:20]:
        print(f"{code.name} {rpc} {data[:2_000]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", default="", help="a part of the names of RPCs")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(_main(arguments.messages, arguments.seed, arguments.only)))
