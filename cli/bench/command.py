"""`featom bench`."""

import asyncio
import signal
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Final

import typer
from featom_client import AsyncClient, EntityTypeNotFound, FeatomError, Retry
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cli import exits
from cli.bench.load import Load, Measured, clean_up, put_load
from cli.connection.calling import client_options
from cli.connection.endpoint import Endpoint, EndpointRefused
from cli.connection.options import for_a_call
from cli.connection.problems import code_of, described
from cli.output.rows import JsonOption, Output, OutputOption, Row, chosen, write_rows

EXAMPLES: Final = {
    "bench": """\b
Examples:
  featom bench
  featom bench --callers 64 --seconds 60 --reads 0.5
  featom bench --entities 1               one hot entity
  featom bench --entities 20000 --json"""
}

_COLUMNS: Final = (
    *("operation", "answered", "a_second", "p50_ms", "p99_ms", "longest_ms"),
    *("refused", "reasons"),
)

_TELLING: Final = 0.2
"""Seconds between two looks at the progress."""


class TypeIsThere(Exception):
    """The entity type exists, and nobody said that it may be used."""


@for_a_call
def bench(
    endpoint: Endpoint,
    entity_type: Annotated[
        str, typer.Option("--type", help="The entity type; one that does not exist yet.")
    ] = "featom_bench",
    on_existing: Annotated[
        bool,
        typer.Option("--on-existing", help="Use the type though it exists; its entities stay."),
    ] = False,
    callers: Annotated[
        int, typer.Option(min=1, max=1_000, help="Each has one call under way.")
    ] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long.")] = 10.0,
    entities: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Over how many they are spread.")
    ] = 1_000,
    features: Annotated[int, typer.Option(min=1, max=1_000, help="That an update changes.")] = 5,
    reads: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of reads among the calls.")
    ] = 0.5,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Put a load on a server and measure it.

    Every update is durable, as always. It writes entities of its own, and deletes them with their
    history at the end, also after Ctrl-C. This client takes as much of a machine as the server, so
    on one machine it measures less than the server can do. The exit code is 1 if calls were
    refused.
    """
    load = Load(
        entity_type=entity_type,
        prefix=f"bench-{uuid.uuid4().hex[:8]}-",
        entities=entities,
        callers=callers,
        seconds=seconds,
        features=features,
        reads=reads,
    )
    measured = Measured()
    try:
        asyncio.run(_run(client_options(endpoint), load, on_existing, measured))
    except (EndpointRefused, TypeIsThere) as error:
        raise exits.failed(error, exits.USAGE) from error
    except FeatomError as error:
        problem = described(error, endpoint) + _left(load, measured)
        raise exits.failed(problem, code_of(error)) from error
    except KeyboardInterrupt as interrupt:
        problem = f"interrupted{_left(load, measured)}"
        raise exits.failed(problem, exits.INTERRUPTED) from interrupt
    finally:
        if measured.seconds:
            write_rows(_rows(measured), _COLUMNS, chosen(output, json))
    if measured.updates.refusals or measured.reads.refusals:
        raise typer.Exit(exits.FOUND)


async def _run(options: dict[str, Any], load: Load, on_existing: bool, measured: Measured) -> None:
    async with AsyncClient(**options) as client:
        if not on_existing:
            await _require_a_new_type(client, load.entity_type)
        with _progress() as progress:
            # What is refused is counted, not asked for again.
            async with AsyncClient(**options | {"retry": Retry(attempts=1)}) as impatient:
                await _put_load(impatient, load, measured, progress)
            cleaning = progress.add_task("cleaning up", total=len(measured.written))
            await clean_up(
                client, load, measured, lambda gone: progress.update(cleaning, completed=gone)
            )
        measured.written.clear()


async def _require_a_new_type(client: AsyncClient, entity_type: str) -> None:
    """Raises TypeIsThere."""
    advice = "name another --type, or give --on-existing"
    async for _ in client.list(entity_type):
        raise TypeIsThere(f"there are entities of the type {entity_type}: {advice}")
    with suppress(EntityTypeNotFound):
        await client.get_entity_type(entity_type)
        raise TypeIsThere(f"the entity type {entity_type} exists: {advice}")


async def _put_load(
    client: AsyncClient, load: Load, measured: Measured, progress: Progress
) -> None:
    """Until its time is up, or Ctrl-C ends it: what was measured so far is told all the same."""
    stop = asyncio.Event()
    task = progress.add_task("calling", total=load.seconds)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    telling = asyncio.create_task(_tell_time(progress, task))
    try:
        await put_load(client, load, measured, stop)
    finally:
        telling.cancel()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


async def _tell_time(progress: Progress, task: TaskID) -> None:
    while True:
        await asyncio.sleep(_TELLING)
        progress.advance(task, _TELLING)


def _progress() -> Progress:
    """On a terminal; elsewhere nothing is shown."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _rows(measured: Measured) -> Iterator[Row]:
    for operation, tally in (("update", measured.updates), ("get", measured.reads)):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.refusals.most_common())
        yield {
            "operation": operation,
            "answered": tally.count,
            "a_second": round(tally.count / measured.seconds, 1),
            "p50_ms": _milliseconds(tally.within(0.5)),
            "p99_ms": _milliseconds(tally.within(0.99)),
            "longest_ms": _milliseconds(tally.longest),
            "refused": tally.refusals.total(),
            "reasons": reasons,
        }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 2)


def _left(load: Load, measured: Measured) -> str:
    """What has to be said when there was no time to clean up."""
    if not measured.written:
        return ""
    return f"\n  entities of {load.entity_type} that begin with {load.prefix} are left"
