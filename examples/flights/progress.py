"""The bar that shows the replay going on."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from examples.flights.replay import Watcher


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Watcher]:
    """A bar over `total` flights, moved by the watcher that it gives."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} flights/s"),
        TextColumn("{task.fields[retries]:,} retries"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, rate=0.0, retries=0)

        def watch(seconds: float, flights: int, retries: int) -> None:
            rate = flights / seconds
            bar.update(task, completed=flights, rate=rate, retries=retries)

        yield watch
