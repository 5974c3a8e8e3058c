"""Replays flights through several client processes at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeAlias

from examples.flights import client
from examples.flights.flights import Flight
from examples.flights.interrupts import interrupts_deferred
from examples.flights.tally import Tally

Watcher: TypeAlias = Callable[[float, int, int], None]
"""Is told now and then after how many seconds how many flights are done, with how many retries."""

Clients: TypeAlias = "list[Connection[Any, Any]]"

ENDED_EARLY = "a client process ended before its work was done"


class ReplayFailed(Exception):
    """A client could not replay its flights."""


@dataclass(frozen=True)
class Replay:
    """All flights were replayed: what was counted, and how long it took."""

    tally: Tally
    seconds: float


def replay(
    target: str,
    flights: Sequence[Flight],
    clients: int,
    in_flight: int,
    watch: Watcher,
    *,
    together: bool = False,
) -> Replay:
    """Deal the flights out in time order, one to each client in turn, and replay them.

    `together`: the updates of a flight are one batch.

    Raises ReplayFailed when a client gives up.
    """
    with _processes(clients) as connections:
        for number, connection in enumerate(connections):
            share = list(flights[number::clients])
            _send(connection, client.Job(target, share, in_flight, together))
        for connection in connections:
            _receive(connection)
        for connection in connections:
            _send(connection, client.Start())
        return _collect(connections, watch)


def _collect(connections: Clients, watch: Watcher) -> Replay:
    """Follow the clients until each has sent its tally."""
    started, total = time.perf_counter(), Tally()
    progress = dict.fromkeys(connections, client.Progress(0, 0))
    running = set(connections)
    while running:
        for connection in running.intersection(wait(running)):
            message = _receive(connection)
            if isinstance(message, Tally):
                total.merge(message)
                running.remove(connection)
                message = client.Progress(message.flights, message.retries.total())
            progress[connection] = message
        flights, retries = map(sum, zip(*progress.values(), strict=True))
        watch(time.perf_counter() - started, flights, retries)
    return Replay(total, time.perf_counter() - started)


def _send(connection: "Connection[Any, Any]", message: object) -> None:
    try:
        connection.send(message)
    except ConnectionError:
        raise ReplayFailed(ENDED_EARLY) from None


def _receive(connection: "Connection[Any, Any]") -> Any:
    try:
        message = connection.recv()
    except (EOFError, ConnectionError):
        raise ReplayFailed(ENDED_EARLY) from None
    if isinstance(message, client.Failed):
        raise ReplayFailed(f"a client gave up: {message.error}")
    return message


@contextmanager
def _processes(count: int) -> Iterator[Clients]:
    """Client processes, each by its connection; none is left afterwards."""
    context = get_context("spawn")  # gRPC does not survive a fork
    processes: list[SpawnProcess] = []
    connections: Clients = []
    try:
        resource_tracker.ensure_running()  # started later, it would unblock the interrupts
        with interrupts_deferred():
            for _ in range(count):
                ours, theirs = context.Pipe()
                connections.append(ours)
                process = context.Process(target=client.main, args=(theirs,), daemon=True)
                process.start()
                processes.append(process)
                theirs.close()
        yield connections
    finally:
        for process in processes:
            process.terminate()
        for connection in connections:
            connection.close()
        for process in processes:
            process.join()
            process.close()
