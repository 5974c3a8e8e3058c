"""`python -m benchmarks.baselines.feast`: batch reads from Feast and from Featom, side by side.

Feast's packages do not go together with ours, so it gets an environment of its own, which is
thrown away afterwards; or one that is there already.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg
import typer

from benchmarks import h2load, machine, report, rounds
from benchmarks.baselines.feast.workload import FeastProcess, FeastReads
from benchmarks.options import Retries, Seconds
from benchmarks.workload import Workload
from benchmarks.workloads import batch_get_aggregates
from benchmarks.writes.rig import WriteRig

LOCK: Final = Path(__file__).with_name("requirements.lock")
DATABASE: Final = "feast"
THREADS: Final = (1, 4)


def install(folder: Path) -> Path:
    """A new environment with Feast; gives its interpreter."""
    report.progress("installing Feast")
    subprocess.run((sys.executable, "-m", "venv", folder), check=True)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, "--require-hashes", "-r", LOCK), check=True)
    return python


async def _create(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.close()


async def _analyze(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("VACUUM (ANALYZE)")
    await connection.close()


def main(
    rounds_: Annotated[int, typer.Option("--rounds", help="Rounds of each.", min=1)] = 3,
    retries: Retries = 2,
    seconds: Seconds = 4,
    aggregates: Annotated[int, typer.Option(min=1_000)] = 20_000,
    python: Annotated[
        Path | None, typer.Option(help="An interpreter that has Feast already.")
    ] = None,
) -> None:
    """Measure batch reads and write the table of benchmarks/README.md."""
    h2load.require()
    with WriteRig(aggregates) as rig:
        interpreter = python or install(rig.folder / "feast")
        asyncio.run(_create(rig.dsn))
        query = parse_qs(urlsplit(rig.dsn).query)
        arguments = [query["host"][0], query["port"][0], DATABASE, str(rig.folder)]
        report.progress("loading Feast")
        with FeastProcess.started(interpreter, [*arguments, str(aggregates)], rig.folder) as feast:
            asyncio.run(_analyze(rig.dsn.replace("@/featom", f"@/{DATABASE}")))
            workloads: list[Workload] = [FeastReads(threads, feast) for threads in THREADS]
            workloads.append(batch_get_aggregates("featom over gRPC"))
            for workload in workloads:
                workload.prepare(rig)
            measured = rounds.measure(
                workloads,
                rig.folder,
                rounds=rounds_,
                retries=retries,
                seconds=seconds,
            )
        notes = [
            f"{machine.today()}. {measured.note}. {aggregates:,} entities of 50 features.",
            machine.describe(),
            f"Feast {_locked('feast')}, psycopg {_locked('psycopg')}, PostgreSQL {rig.postgresql}.",
        ]
    reference = workloads[0].name
    report.show(measured.rows, reference, notes)
    report.write("feast", report.markdown(measured.rows, reference, notes))


def _locked(package: str) -> str:
    """The version that the lock names."""
    for line in LOCK.read_text().splitlines():
        name, _, rest = line.partition("==")
        if name == package:
            return rest.split()[0]
    raise LookupError(package)


if __name__ == "__main__":
    typer.run(main)
