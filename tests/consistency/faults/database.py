"""Faults of PostgreSQL itself."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from server.embedded_postgres import EmbeddedPostgres


async def crash(postgres: EmbeddedPostgres) -> None:
    """Kill -9 every process of it, and start it again: it recovers."""
    await asyncio.to_thread(postgres.kill)
    await asyncio.to_thread(postgres.start)


async def restart(postgres: EmbeddedPostgres) -> None:
    """Stop it as an upgrade does, and start it again."""
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)


async def pause(cluster: Path, seconds: float) -> None:
    """Stop every process of a cluster where it stands, and let them go on later."""
    stopped = _processes(cluster)
    _signal(stopped, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        _signal(stopped, signal.SIGCONT)


def _processes(cluster: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").samefile(cluster):
                found.append(int(process.name))
    return found


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
