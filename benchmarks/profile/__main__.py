"""`python -m benchmarks.profile`: where the time of the commit pipeline goes."""

from collections import Counter
from typing import Annotated, Final

import typer
import uvloop

from benchmarks import machine, report
from benchmarks.grid import Grid
from benchmarks.profile.parts import by_function, by_part, place
from benchmarks.profile.sampler import Function, Sampler
from benchmarks.writes.cluster_cpu import ClusterCpu
from benchmarks.writes.driving import Driven, drive
from benchmarks.writes.orders import Order
from benchmarks.writes.pipeline_driver import Pipeline
from benchmarks.writes.rig import WriteRig
from repository.postgres import PostgresRepository

WARM_UP_SECONDS: Final = 1.0
CALLERS: Final = 256
TOP_PARTS: Final = 5
TOP_FUNCTIONS: Final = 20


def main(
    seconds: Annotated[float, typer.Option(help="How long to look, at each of the two.")] = 5,
    aggregates: Annotated[int, typer.Option(min=1_000)] = 20_000,
    write: Annotated[bool, typer.Option(help="Write the table into benchmarks/README.md.")] = True,
) -> None:
    """Profile updates in process; print the functions, write the five parts that take most."""
    columns = {}
    notes = [f"{machine.today()}, {seconds:g} s each, without gRPC."]
    with WriteRig(aggregates) as rig:
        report.progress(f"loading {rig.aggregates:,} aggregates into {rig.dsn}")
        for name, entities in (("uniform", aggregates), ("one entity", 1)):
            stacks, driven, postgres_seconds = uvloop.run(_profile(rig, entities, seconds))
            updates = max(1, len(driven.latencies))
            postgres_us = postgres_seconds / updates * 1e6
            python_us = driven.cpu_seconds / updates * 1e6
            notes.append(
                f"{name}: {python_us:.0f} µs of Python and {postgres_us:.0f} µs of PostgreSQL "
                "an update."
            )
            columns[name] = by_part(stacks)
            _functions(name, stacks).show()
    grid = _parts(columns, notes)
    grid.show()
    if write:
        report.write("profile", grid.markdown())


async def _profile(
    rig: WriteRig, entities: int, seconds: float
) -> tuple[Counter[tuple[Function, ...]], Driven, float]:
    repository = PostgresRepository(rig.dsn)
    await repository.open()
    try:
        call = Pipeline(repository).caller(Order(seconds, entities=entities))
        await drive(call, CALLERS, WARM_UP_SECONDS)
        postgres = ClusterCpu(rig.cluster)
        with Sampler() as sampler:
            driven = await drive(call, CALLERS, seconds)
        postgres_seconds = postgres.seconds() or 0
    finally:
        await repository.close()
    return sampler.stacks, driven, postgres_seconds


def _parts(columns: dict[str, Counter[str]], notes: list[str]) -> Grid:
    total: Counter[str] = Counter()
    for parts in columns.values():
        for part, count in parts.items():
            total[part] += round(count / parts.total() * 1e6)
    top = [part for part, _ in total.most_common() if part != "the callers"][:TOP_PARTS]
    body = [
        [part, *(f"{parts[part] / parts.total():.0%}" for parts in columns.values())]
        for part in top
    ]
    heading = ["part of Python's time", *columns]
    return Grid(heading, body, frozenset({heading[0]}), notes)


def _functions(name: str, stacks: Counter[tuple[Function, ...]]) -> Grid:
    alone, inclusive = by_function(stacks)
    body = [
        [
            place(function),
            f"{count / stacks.total():.1%}",
            f"{inclusive[function] / stacks.total():.1%}",
        ]
        for function, count in alone.most_common(TOP_FUNCTIONS)
    ]
    heading = [f"{name}: function", "itself", "with what it calls"]
    return Grid(heading, body, frozenset({heading[0]}))


if __name__ == "__main__":
    typer.run(main)
