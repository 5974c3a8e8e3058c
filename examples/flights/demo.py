"""The demo from its first step to its last."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from examples.flights import report
from examples.flights.comparison import compare
from examples.flights.flights import read_flights
from examples.flights.own_server import own_server, wait_until_ready
from examples.flights.progress import progress_bar
from examples.flights.replay import replay
from examples.flights.store import delete_all, read_all
from examples.flights.truth import Truth, fold


class AlreadyThere(Exception):
    """The server already holds aggregates of the demo; counting on would make them wrong."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    flights: int | None = 20_000
    """How many, in time order; None for all."""
    clients: int = 4
    in_flight: int = 64
    target: str | None = None
    """A server that runs already; None to start one."""
    together: bool = False
    """Make the updates of a flight all together or not at all."""
    delete: bool = False
    """Delete the demo's aggregates from the target first."""


def run(options: Options, console: Console) -> int:
    """Replay, read back, compare, print; 0 if every feature is as it must be, else 1."""
    console.print("reading the flights")
    flights = read_flights(options.flights)
    truth = fold(flights)
    with _server(options, truth, console) as target:
        console.print(
            f"replaying {len(flights):,} flights through {options.clients} clients, "
            f"each with at most {options.in_flight} calls in flight"
        )
        with progress_bar(console, len(flights)) as watch:
            replayed = replay(
                target,
                flights,
                options.clients,
                options.in_flight,
                watch,
                together=options.together,
            )
        console.print("reading every aggregate back")
        found = asyncio.run(read_all(target, list(truth)))
    comparison = compare(truth, found)
    report.print_rates(console, replayed)
    report.print_latencies(console, replayed, truth)
    report.print_counts(console, replayed)
    report.print_comparison(console, comparison)
    return 1 if comparison.differences else 0


@contextmanager
def _server(options: Options, truth: Truth, console: Console) -> Iterator[str]:
    """A server without the demo's aggregates: the target, or one of our own."""
    if options.target is not None:
        wait_until_ready(options.target, seconds=10)
        _clear(options.target, truth, options.delete)
        yield options.target
        return
    console.print("starting a server with a database of its own")
    with own_server() as target:
        yield target


def _clear(target: str, truth: Truth, delete: bool) -> None:
    existing = list(asyncio.run(read_all(target, list(truth))))
    if existing and not delete:
        raise AlreadyThere(
            f"{target} already holds {len(existing):,} of the demo's aggregates, such as "
            f"{'/'.join(existing[0])}; run with --delete to delete them first"
        )
    asyncio.run(delete_all(target, existing))
