"""Reads Feast's online store in closed loops. Runs in an environment that has Feast and not us.

`python reads.py HOST PORT DATABASE FOLDER ENTITIES` loads it and says "ready"; then each line of
its input is "SECONDS THREADS", and its answer the rate of entities read and the 99th percentile.
"""

import random
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]
from feast import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    ValueType,
)
from feast.types import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
    Float64,
    Int64,
    String,
)

BATCH = 100
KINDS = {"count": Int64, "amount": Float64, "text": String}
FEATURES = {
    **{f"count_{number}": "count" for number in range(22)},
    **{f"amount_{number}": "amount" for number in range(22)},
    **{f"text_{number}": "text" for number in range(6)},
}
VIEW = "customer_features"
LOADED_TOGETHER = 1_000


def open_store(host: str, port: int, database: str, folder: Path) -> FeatureStore:
    """A store on this PostgreSQL, configured for speed: pooled, and nothing looked up twice."""
    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"path": str(folder / "registry.db"), "cache_ttl_seconds": 0},
        online_store={
            "type": "postgres",
            "conn_type": "pool",
            "min_conn": 4,
            "max_conn": 8,
            "host": host,
            "port": port,
            "database": database,
            "user": "featom",
            "password": "",
            "db_schema": "public",
        },
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name=VIEW,
        entities=[customer],
        schema=[Field(name=name, dtype=KINDS[kind]) for name, kind in FEATURES.items()],
        source=FileSource(path=str(folder / "none.parquet"), timestamp_field="event_timestamp"),
        online=True,
    )
    _source(folder / "none.parquet")
    store.apply([customer, view])
    return store


def load(store: FeatureStore, entities: int) -> None:
    for first in range(0, entities, LOADED_TOGETHER):
        ids = range(first, min(first + LOADED_TOGETHER, entities))
        store.write_to_online_store(VIEW, _frame(ids))


def drive(store: FeatureStore, entities: int, seconds: float, threads: int) -> tuple[float, float]:
    """The rate of entities, and the 99th percentile of a read of 100 in milliseconds."""
    names = [f"{VIEW}:{name}" for name in FEATURES]
    latencies: list[float] = []
    started = time.perf_counter()

    def caller() -> None:
        begun = time.perf_counter()
        while begun < started + seconds:
            rows = [{"customer_id": each} for each in random.sample(range(entities), BATCH)]
            answer = store.get_online_features(features=names, entity_rows=rows)
            if len(answer.proto.results) != len(FEATURES) + 1:
                raise LookupError
            done = time.perf_counter()
            latencies.append(done - begun)
            begun = done

    callers = [threading.Thread(target=caller) for _ in range(threads)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    rate = len(latencies) * BATCH / (time.perf_counter() - started)
    return rate, sorted(latencies)[len(latencies) * 99 // 100] * 1_000


def _frame(ids: Sequence[int]) -> pandas.DataFrame:
    columns = {name: [_value(kind) for _ in ids] for name, kind in FEATURES.items()}
    return pandas.DataFrame(
        {"customer_id": list(ids), "event_timestamp": datetime.now(UTC), **columns}
    )


def _value(kind: str) -> int | float | str:
    if kind == "count":
        return random.randrange(10_000)
    return random.random() if kind == "amount" else f"{random.getrandbits(32):08x}"


def _source(file: Path) -> None:
    """A file that Feast wants to see; nothing is read from it."""
    _frame(range(1)).to_parquet(file)


def main(host: str, port: str, database: str, folder: str, entities: str) -> None:
    store = open_store(host, int(port), database, Path(folder))
    load(store, int(entities))
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, threads = line.split()
        rate, p99_ms = drive(store, int(entities), float(seconds), int(threads))
        print(rate, p99_ms, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
