"""One client process: replays its share of the flights with a bounded number of calls in flight."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeAlias

import grpc
import uvloop

from examples.flights.flights import Flight
from examples.flights.retry import answered
from examples.flights.tally import Tally
from examples.flights.updates import batch_of, updates_of
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub

Send: TypeAlias = Callable[[Flight], Awaitable[None]]
"""Sends all updates of one flight and returns once each of them is answered."""

CONNECT_SECONDS = 30.0
REPORT_SECONDS = 0.2


class Ready(NamedTuple):
    """The client has its flights and its connection and waits to be told to start."""


class Start(NamedTuple):
    """Tells a client to start."""


class Progress(NamedTuple):
    """What a client has done so far."""

    flights: int
    retries: int


class Failed(NamedTuple):
    """The client gave up."""

    error: str


@dataclass(frozen=True)
class Job:
    """What a client is to replay, and where."""

    target: str
    flights: list[Flight]
    in_flight: int
    together: bool
    """Send the updates of a flight as one batch."""


def main(connection: "Connection[Any, Any]") -> None:
    """Receive a Job, send Ready, receive Start; then send Progress, and the Tally or Failed."""
    with suppress(EOFError, ConnectionError):  # without its parent a client just ends
        job: Job = connection.recv()
        connection.send(_outcome(job, connection))


def _outcome(job: Job, connection: "Connection[Any, Any]") -> Tally | Failed:
    try:
        return uvloop.run(_replay(job, connection))
    except (grpc.aio.AioRpcError, ExceptionGroup, TimeoutError) as error:
        return Failed(_describe(error))


async def _replay(job: Job, connection: "Connection[Any, Any]") -> Tally:
    tally = Tally()
    async with grpc.aio.insecure_channel(job.target) as channel:
        await asyncio.wait_for(channel.channel_ready(), CONNECT_SECONDS)
        connection.send(Ready())
        connection.recv()
        async with asyncio.TaskGroup() as tasks:
            reporter = tasks.create_task(_report(tally, connection))
            way = all_in_one if job.together else one_call_each
            await _replay_all(job, way(channel, tally), tally)
            reporter.cancel()
    return tally


async def _replay_all(job: Job, send: Send, tally: Tally) -> None:
    flights = iter(job.flights)
    async with asyncio.TaskGroup() as lanes:
        for _ in range(job.in_flight):
            lanes.create_task(_lane(flights, send, tally))


async def _lane(flights: Iterator[Flight], send: Send, tally: Tally) -> None:
    """Take the next flight when the one before is done: one call in flight a lane."""
    for flight in flights:
        await send(flight)
        tally.flights += 1


def one_call_each(channel: grpc.aio.Channel, tally: Tally) -> Send:
    """A Send that makes one UpdateFeatures call after the other."""
    update_features = FeatureStoreServiceStub(channel).UpdateFeatures

    async def send(flight: Flight) -> None:
        for update in updates_of(flight):
            started = time.perf_counter()
            response = await answered(update_features, update, tally.retries)
            tally.add(update.key.entity_type, time.perf_counter() - started, response)

    return send


def all_in_one(channel: grpc.aio.Channel, tally: Tally) -> Send:
    """A Send that makes one BatchUpdateFeatures call."""
    batch_update_features = FeatureStoreServiceStub(channel).BatchUpdateFeatures

    async def send(flight: Flight) -> None:
        batch = batch_of(flight)
        started = time.perf_counter()
        answer = await answered(batch_update_features, batch, tally.retries)
        seconds = time.perf_counter() - started
        for update, response in zip(batch.updates, answer.responses, strict=True):
            tally.add(update.key.entity_type, seconds, response)

    return send


async def _report(tally: Tally, connection: "Connection[Any, Any]") -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        connection.send(Progress(tally.flights, tally.retries.total()))


def _describe(error: BaseException) -> str:
    """The first call that failed, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return repr(error)
