"""The command line: python -m examples.flights."""

import signal
from typing import Annotated

import grpc
import typer
from rich.console import Console

from examples.flights.demo import AlreadyThere, Options, run
from examples.flights.own_server import NotReady
from examples.flights.replay import ReplayFailed

UNUSABLE = 2
INTERRUPTED = 130


def main(
    flights: Annotated[str, typer.Option(help="How many flights, in time order, or 'all'.")] = (
        "20000"
    ),
    clients: Annotated[int, typer.Option(min=1, help="Client processes.")] = 4,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls in flight of each client.")] = 64,
    target: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Use this server instead of starting one."),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="Send each flight as one BatchUpdateFeatures.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the demo's aggregates from the target first.")
    ] = False,
) -> None:
    """Replay the flights that left New York in 2013, and check every feature afterwards."""
    if delete and target is None:
        raise typer.BadParameter("--delete goes with --target: a server of our own is empty")
    options = Options(_count(flights), clients, in_flight, target, together, delete)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    try:
        code = run(options, console)
    except (AlreadyThere, NotReady, ReplayFailed, FileNotFoundError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        code = UNUSABLE
    except grpc.aio.AioRpcError as error:
        console.print(f"{error.code().name}: {error.details()}", style="red", markup=False)
        code = UNUSABLE
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def _count(flights: str) -> int | None:
    if flights == "all":
        return None
    if not flights.isdecimal() or int(flights) == 0:
        raise typer.BadParameter("--flights takes a number above 0, or 'all'")
    return int(flights)


if __name__ == "__main__":
    typer.run(main)
