"""`python -m benchmarks.writes`: updates, beside the article's design and the echo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import h2load, machine, report, rounds
from benchmarks.options import Retries, Seconds
from benchmarks.row import Row
from benchmarks.workload import Workload
from benchmarks.writes import chart, table
from benchmarks.writes.commit_delay import commit_delay
from benchmarks.writes.rig import WriteRig
from benchmarks.writes.workloads import workloads

PACKAGES = ("grpcio", "protobuf", "asyncpg", "uvloop")
PICTURE = Path(__file__).parents[1] / "pictures" / "writes.png"
# Measured also with slower commits.
DELAYED = (
    "article_uniform",
    "article_hot",
    "article_sql_uniform",
    "article_sql_hot",
    "pipeline_uniform",
    "pipeline_hot",
    "pipeline_hot_two_servers",
    "update_uniform",
    "update_hot",
)
DELAYED_ROUNDS = 2


def main(
    rounds_: Annotated[int, typer.Option("--rounds", help="Rounds of each workload.", min=1)] = 3,
    retries: Retries = 1,
    seconds: Seconds = 5,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Measure only this workload; may be repeated. Writes nothing."),
    ] = None,
    delays: Annotated[
        str, typer.Option(help="Milliseconds to add to each commit, afterwards; '' for none.")
    ] = "1,5",
    aggregates: Annotated[
        int, typer.Option(help="How many aggregates to preload.", min=1_000)
    ] = 20_000,
) -> None:
    """Measure the updates side by side and write the tables of benchmarks/README.md."""
    h2load.require()
    every = workloads(aggregates)
    if unknown := set(only or []) - {workload.name for workload in every}:
        raise typer.BadParameter(f"no such workload: {', '.join(sorted(unknown))}")
    chosen = [workload for workload in every if not only or workload.name in only]
    with WriteRig(aggregates) as rig:
        for workload in chosen:
            report.progress(f"preparing {workload.name}")
            workload.prepare(rig)
        measured = _measure(chosen, rig, rounds_, retries, seconds)
        about = [
            machine.describe(),
            f"{machine.versions(*PACKAGES)}, PostgreSQL {rig.postgresql or 'not used'}.",
        ]
        note = f"{machine.today()}. {measured.note}. {aggregates:,} aggregates."
        main_table = table.table(measured.rows, [note, *about])
        main_table.show()
        if not only:
            report.write("writes", main_table.markdown())
            chart.draw(measured.rows, PICTURE)
        if delays:
            _with_delays(rig, chosen, measured.rows, delays, seconds, write=not only)


def _with_delays(
    rig: WriteRig,
    chosen: Sequence[Workload],
    without: Sequence[Row],
    delays: str,
    seconds: float,
    write: bool,
) -> None:
    delayed = [workload for workload in chosen if workload.name in DELAYED]
    if not delayed:
        return
    by_delay = {0.0: [row for row in without if row.workload.name in DELAYED]}
    commits = []
    for delay in map(float, delays.split(",")):
        with commit_delay(rig, delay) as commit_ms:
            report.progress(f"+{delay:g} ms: a commit takes {commit_ms:.1f} ms")
            by_delay[delay] = list(_measure(delayed, rig, DELAYED_ROUNDS, 0, seconds).rows)
            commits.append(f"{commit_ms:.1f} ms with {delay:g} ms added")
    note = f"{machine.today()}. A single commit, measured: {'; '.join(commits)}."
    grid = table.delays_table(by_delay, [note])
    grid.show()
    if write:
        report.write("delays", grid.markdown())


def _measure(
    chosen: Sequence[Workload], rig: WriteRig, rounds_: int, retries: int, seconds: float
) -> rounds.Measurement:
    return rounds.measure(
        chosen,
        rig.folder,
        rounds=rounds_,
        retries=retries,
        seconds=seconds,
    )


if __name__ == "__main__":
    typer.run(main)
