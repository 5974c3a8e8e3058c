"""`python -m benchmarks.client`: what the Python client adds to a call, and how fast tables go.

Each pair of client and bare stub takes turns, call by call, so that both meet the same machine.
"""

import asyncio
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Annotated, Any, Final

import grpc
import numpy
import typer
from featom_client import AsyncClient, Client

from benchmarks import cpu, machine, report, servers
from benchmarks.grid import Grid
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2 import FeatureUpdate, GetAggregateRequest, UpdateFeaturesRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue

FEATURES: Final = 50
CHANGED: Final = {f"f{number}": number / 7 for number in range(5)}
WARM_UP: Final = 200
KEY: Final = EntityKey(entity_type="bench", entity_id="1")
IMPORT: Final = "from time import perf_counter as t; s = t(); import featom_client; print(t() - s)"


@dataclass(frozen=True)
class Times:
    """Seconds of each call."""

    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """One row of the table."""

    work: str
    result: str
    reach: str
    reached: bool


def main(
    calls: Annotated[int, typer.Option(help="Calls of each kind.", min=100)] = 3_000,
    rows: Annotated[
        int, typer.Option(help="Rows of the table that is written.", min=1_000)
    ] = 100_000,
    write: Annotated[bool, typer.Option(help="Write the table into benchmarks/README.md.")] = True,
) -> None:
    """Measure the client beside the bare stub, and tables; write the table."""
    with tempfile.TemporaryDirectory(prefix="featom-bench-") as name:
        measured, meanwhile = measure(Path(name), calls, rows)
    body = [
        [each.work, each.result, f"{each.reach}: {'yes' if each.reached else 'NO'}"]
        for each in measured
    ]
    notes = [
        f"{machine.today()}. {calls:,} calls of each kind, one after the other. {meanwhile}.",
        machine.describe(),
        f"{machine.versions('grpcio', 'protobuf', 'numpy')}.",
    ]
    heading = ["work", "result", "goal"]
    grid = Grid(heading, body, frozenset(heading), notes)
    grid.show()
    if write:
        report.write("client", grid.markdown())


def measure(folder: Path, calls: int, rows: int) -> tuple[Sequence[Measured], str]:
    """All of it, on a server in `folder`, and what others did on the machine meanwhile."""
    with servers.featom(folder / "data", folder) as server, Client(server.address) as client:
        client.update("bench", "1", {f"f{number}": number / 7 for number in range(FEATURES)})
        started, before = perf_counter(), cpu.seconds_of_others(folder)
        measured = [
            *waiting(server.address, client, calls),
            *asyncio.run(asynchronous(server.address, calls)),
            bulk_write(client, rows, folder),
            many_into_numpy(client),
            importing(),
        ]
        after = cpu.seconds_of_others(folder)
        if before is None or after is None:
            return measured, "What other processes used is not known"
        cores = (after - before) / (perf_counter() - started)
        return measured, f"Other processes used {cores:.2f} cores meanwhile"


def get_request() -> GetAggregateRequest:
    return GetAggregateRequest(key=KEY)


def update_request() -> UpdateFeaturesRequest:
    """As a careful caller makes it, with an id."""
    changes = [
        FeatureUpdate(name=name, set=FeatureValue(double_value=value))
        for name, value in CHANGED.items()
    ]
    return UpdateFeaturesRequest(key=KEY, updates=changes, request_id=str(uuid.uuid4()))


Turn = Callable[[], Any]


def waiting(address: str, client: Client, calls: int) -> Sequence[Measured]:
    def in_turns(bare: Turn, ours: Turn) -> Times:
        times = Times()
        for _ in range(calls + WARM_UP):
            for taken, call in ((times.bare, bare), (times.ours, ours)):
                started = perf_counter()
                call()
                taken.append(perf_counter() - started)
        return times

    with grpc.insecure_channel(address) as channel:
        store: Any = FeatureStoreServiceStub(channel)
        gets = in_turns(
            lambda: store.GetAggregate(get_request(), timeout=5), lambda: client.get("bench", "1")
        )
        updates = in_turns(
            lambda: store.UpdateFeatures(update_request(), timeout=5),
            lambda: client.update("bench", "1", CHANGED),
        )
    return beside("get", gets), beside("update", updates)


async def asynchronous(address: str, calls: int) -> Sequence[Measured]:
    async def in_turns(bare: Turn, ours: Turn) -> Times:
        times = Times()
        for _ in range(calls + WARM_UP):
            for taken, call in ((times.bare, bare), (times.ours, ours)):
                started = perf_counter()
                await call()
                taken.append(perf_counter() - started)
        return times

    async with grpc.aio.insecure_channel(address) as channel, AsyncClient(address) as client:
        store: Any = FeatureStoreServiceStub(channel)
        gets = await in_turns(
            lambda: store.GetAggregate(get_request(), timeout=5), lambda: client.get("bench", "1")
        )
        updates = await in_turns(
            lambda: store.UpdateFeatures(update_request(), timeout=5),
            lambda: client.update("bench", "1", CHANGED),
        )
    return beside("get, asyncio", gets), beside("update, asyncio", updates)


def beside(work: str, times: Times) -> Measured:
    bare, ours = times.bare[WARM_UP:], times.ours[WARM_UP:]
    texts = []
    for taken in (ours, bare):
        cuts = quantiles(taken, n=100)
        texts.append(f"{cuts[49] * 1e3:.2f} ms (p99 {cuts[98] * 1e3:.2f})")
    ratio = median(ours) / median(bare)
    result = f"{texts[0]} beside {texts[1]} of the stub: {ratio:.2f} times"
    return Measured(work, result, "≤ 1.25 times", ratio <= 1.25)


def bulk_write(client: Client, rows: int, folder: Path) -> Measured:
    random = numpy.random.default_rng(1)
    table = {
        "entity_id": [f"e{number}" for number in range(rows)],
        **{f"f{number}": random.random(rows) for number in range(20)},
    }
    started, used = perf_counter(), cpu.seconds_of_ours(folder)
    written = client.write(table, "written").written
    rate = rows / (perf_counter() - started)
    processor = (cpu.seconds_of_ours(folder) - used) / rows * 1e6
    if written != rows:
        raise RuntimeError(f"{written} rows of {rows} were written")
    return Measured(
        f"write, {rows:,} rows of 20 features",
        f"{rate:,.0f} rows/s; {processor:,.0f} µs of processor time a row",
        "≥ 5,000 rows/s",
        rate >= 5_000,
    )


def many_into_numpy(client: Client) -> Measured:
    ids = [f"m{number}" for number in range(1_000)]
    columns = {f"f{number}": numpy.arange(1_000) / 7 for number in range(FEATURES)}
    client.write({"entity_id": ids, **columns}, "many")
    times = []
    for _ in range(30):
        started = perf_counter()
        arrays = client.get_many("many", ids).to_numpy()
        times.append((perf_counter() - started) * 1e3)
        if (arrays["f7"] != columns["f7"]).any():
            raise RuntimeError("what was read is not what was written")
    taken = median(times)
    return Measured(
        "get_many, 1,000 of 50 features into numpy", f"{taken:.0f} ms", "≤ 60 ms", taken <= 60
    )


def importing() -> Measured:
    """In an interpreter of its own, with bytecode that is there."""
    command = [sys.executable, "-c", IMPORT]
    times = [float(subprocess.check_output(command)) for _ in range(11)]
    taken = median(times)
    return Measured("import featom_client", f"{taken:.2f} s", "≤ 0.25 s", taken <= 0.25)


if __name__ == "__main__":
    typer.run(main)
