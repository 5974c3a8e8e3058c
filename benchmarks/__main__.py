"""`python -m benchmarks`: measure all workloads side by side and write the table."""

from typing import Annotated

import typer

from benchmarks import h2load, machine, report, rounds
from benchmarks.options import Retries, Seconds
from benchmarks.rig import Rig
from benchmarks.workloads import workloads

PACKAGES = ("grpcio", "protobuf", "asyncpg", "uvloop")


def main(
    rounds_: Annotated[int, typer.Option("--rounds", help="Rounds of each workload.", min=1)] = 5,
    retries: Retries = 5,
    seconds: Seconds = 5,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Measure only this workload; may be repeated. Writes no table."),
    ] = None,
    aggregates: Annotated[
        int, typer.Option(help="How many aggregates to preload.", min=100)
    ] = 20_000,
) -> None:
    """Measure the workloads side by side and write the table of benchmarks/README.md."""
    h2load.require()
    every = workloads()
    if unknown := set(only or []) - {workload.name for workload in every}:
        raise typer.BadParameter(f"no such workload: {', '.join(sorted(unknown))}")
    chosen = [workload for workload in every if not only or workload.name in only]
    with Rig(aggregates) as rig:
        for workload in chosen:
            report.progress(f"preparing {workload.name}")
            workload.prepare(rig)
        measured = rounds.measure(
            chosen,
            rig.folder,
            rounds=rounds_,
            retries=retries,
            seconds=seconds,
        )
        notes = [
            f"{machine.today()}. {measured.note}. {aggregates:,} aggregates.",
            machine.describe(),
            f"{machine.versions(*PACKAGES)}, PostgreSQL {rig.postgresql or 'not used'}.",
        ]
    report.show(measured.rows, every[0].name, notes)
    if not only:
        report.write("results", report.markdown(measured.rows, every[0].name, notes))


if __name__ == "__main__":
    typer.run(main)
