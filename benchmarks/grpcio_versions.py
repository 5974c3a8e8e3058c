"""`python -m benchmarks.grpcio_versions`: the echo on several versions of grpcio, side by side.

The reason for the bounds of grpcio in pyproject.toml. Each version gets a virtual environment of
its own, which is thrown away afterwards.
"""

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import echo_server, h2load, machine, report, rounds
from benchmarks.options import Retries, Seconds
from benchmarks.rig import Rig
from benchmarks.unary import UnaryCalls
from benchmarks.workloads import check_echo, single_reads

DEFAULT = ("1.80.1", "1.82.3", "1.83.2", "1.84.2", "1.85.1")


def install(grpcio: str, folder: Path) -> Path:
    """A new environment with that grpcio and our uvloop; gives its interpreter."""
    report.progress(f"installing grpcio {grpcio}")
    subprocess.run((sys.executable, "-m", "venv", folder), check=True)
    python = folder / "bin" / "python"
    wanted = (f"grpcio=={grpcio}", f"uvloop=={version('uvloop')}")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, "--only-binary=:all:", *wanted), check=True)
    return python


def workload(grpcio: str) -> UnaryCalls:
    return UnaryCalls(
        name=f"grpcio {grpcio}",
        method=echo_server.METHOD,
        serve=lambda rig: rig.start_echo(install(grpcio, rig.folder / grpcio)),
        requests=single_reads,
        check=check_echo,
    )


def main(
    versions: Annotated[list[str] | None, typer.Argument(help="Versions of grpcio.")] = None,
    rounds_: Annotated[int, typer.Option("--rounds", help="Rounds of each.", min=1)] = 5,
    retries: Retries = 5,
    seconds: Seconds = 5,
) -> None:
    """Measure the echo on each version and write the table of benchmarks/README.md."""
    h2load.require()
    chosen: Sequence[str] = versions or DEFAULT
    with Rig(aggregates=20_000) as rig:
        workloads = [workload(each) for each in chosen]
        for each in workloads:
            each.prepare(rig)
        measured = rounds.measure(
            workloads,
            rig.folder,
            rounds=rounds_,
            retries=retries,
            seconds=seconds,
        )
    ours = f"grpcio {version('grpcio')}"
    notes = [
        f"{machine.today()}. {measured.note}.",
        machine.describe(),
        f"{machine.versions('uvloop')}.",
    ]
    report.show(measured.rows, ours, notes)
    if not versions:
        report.write("grpcio-versions", report.markdown(measured.rows, ours, notes))


if __name__ == "__main__":
    typer.run(main)
