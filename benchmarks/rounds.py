"""Measures workloads side by side: A B C A B C …, so that a slow minute slows all of them.

A round in which other processes used the machine is disturbed, and measured again if it may be.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cpu
from benchmarks.report import progress
from benchmarks.row import Row
from benchmarks.workload import Sample, Workload

QUIET_CORES = 0.1


@dataclass(frozen=True)
class Round:
    """One round of all workloads."""

    samples: Sequence[Sample]
    others: float | None
    """How many cores other processes used meanwhile; None if that is not known."""

    @property
    def is_quiet(self) -> bool:
        return self.others is None or self.others <= QUIET_CORES


@dataclass(frozen=True)
class Measurement:
    """The rounds that count."""

    rows: Sequence[Row]
    note: str


def measure(
    workloads: Sequence[Workload],
    folder: Path,
    *,
    rounds: int,
    retries: int,
    seconds: float,
) -> Measurement:
    """Measure until there are `rounds` quiet rounds or `retries` more than that in all.

    The quietest rounds count. `folder` is where PostgreSQL works, which is no stranger.
    """
    measured: list[Round] = []
    while len(measured) < rounds + retries and sum(each.is_quiet for each in measured) < rounds:
        progress(f"round {len(measured) + 1}")
        measured.append(_round(workloads, folder, seconds))
    kept = sorted(measured, key=lambda each: each.others or 0)[:rounds]
    rows = [
        Row(workload, [each.samples[index] for each in kept])
        for index, workload in enumerate(workloads)
    ]
    return Measurement(rows, _note(kept, len(measured), seconds))


def _round(workloads: Sequence[Workload], folder: Path, seconds: float) -> Round:
    samples = []
    started, before = time.monotonic(), cpu.seconds_of_others(folder)
    for workload in workloads:
        sample = workload.measure(seconds)
        progress(f"  {workload.name:24} {sample.rate:>12,.0f} {workload.unit}/s")
        samples.append(sample)
    after = cpu.seconds_of_others(folder)
    if before is None or after is None:
        return Round(samples, None)
    others = max(0.0, (after - before) / (time.monotonic() - started))
    progress(f"  other processes used {others:.2f} cores")
    return Round(samples, others)


def _note(kept: Sequence[Round], measured: int, seconds: float) -> str:
    note = f"{len(kept)} rounds of {seconds:g} s"
    known = [each.others for each in kept if each.others is not None]
    if not known:
        return note
    return (
        f"{note}, the quietest of {measured}: "
        f"other processes used {min(known):.2f} to {max(known):.2f} cores meanwhile"
    )
