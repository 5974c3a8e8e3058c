"""Fills a server through UpdateFeatures, with several client processes."""

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import grpc

from benchmarks import dataset
from featom.v1 import feature_store_pb2_grpc

IN_FLIGHT = 64  # calls of each process


def run(address: str, aggregates: int) -> None:
    """Create the first `aggregates` aggregates of the data set."""
    processes = os.cpu_count() or 1
    spawn = multiprocessing.get_context("spawn")  # gRPC must not be forked
    with ProcessPoolExecutor(processes, spawn) as pool:
        shares = [range(first, aggregates, processes) for first in range(processes)]
        list(pool.map(load, [address] * processes, shares))


def load(address: str, indexes: range) -> None:
    asyncio.run(_load(address, indexes))


async def _load(address: str, indexes: range) -> None:
    remaining = iter(indexes)

    async def work(store: "feature_store_pb2_grpc.FeatureStoreServiceAsyncStub") -> None:
        for index in remaining:
            await store.UpdateFeatures(dataset.update(index), timeout=60)

    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as workers:
        store = feature_store_pb2_grpc.FeatureStoreServiceStub(channel)
        for _ in range(IN_FLIGHT):
            workers.create_task(work(store))
