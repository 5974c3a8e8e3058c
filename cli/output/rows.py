"""Rows of values as a table for people, or as JSON lines or CSV for programs."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from io import StringIO
from itertools import islice
from typing import Annotated, Any, Final, TypeAlias

import typer

from cli.output.values import as_cell, as_json, as_text

_TOGETHER: Final = 500
"""Rows of one table: of more there are several, so that the first ones come soon."""
_WIDE: Final = 100_000
"""Columns of what is no terminal: nothing is cut or wrapped there."""


class Output(StrEnum):
    """What rows are written as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


OutputOption: TypeAlias = Annotated[
    Output,
    typer.Option(
        "--output",
        "-o",
        envvar="FEATOM_OUTPUT",
        help="table is for people; json has one object a line, csv a line with the names first.",
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="As --output json.")]

Row: TypeAlias = Mapping[str, Any]
"""Values by the name of their column; a column without one is left empty."""


def chosen(output: Output, as_json_too: bool) -> Output:
    """What --output and --json ask for together."""
    return Output.JSON if as_json_too else output


def write_rows(
    rows: Iterable[Row],
    columns: Sequence[str],
    output: Output,
    style_of: Callable[[Row], str] = lambda _: "",
) -> None:
    """Write rows as they come, to standard output. `style_of` gives the colours of a table."""
    if output is Output.JSON:
        for row in rows:
            write_json(row)
    elif output is Output.CSV:
        # A line ends as lines do here, not as RFC 4180 has it.
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([as_cell(row.get(name)) for name in columns] for row in rows)
    else:
        for together in _groups(iter(rows)):
            _write_table(together, columns, style_of)


def write_json(content: Mapping[str, Any]) -> None:
    """Write one object, in a line of its own."""
    typer.echo(json.dumps(as_json(content), ensure_ascii=False, allow_nan=False))


def _groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while together := list(islice(rows, _TOGETHER)):
        yield together


def _write_table(
    rows: Sequence[Row], columns: Sequence[str], style_of: Callable[[Row], str]
) -> None:
    # Not needed by those who pipe JSON.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.replace("_", " ").upper(), overflow="fold")
    for row in rows:
        # Text, so that no value is taken for markup.
        table.add_row(*(Text(as_text(row.get(name)), style=style_of(row)) for name in columns))
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    lines = StringIO()
    Console(width=_WIDE, file=lines, force_terminal=False).print(table)
    for line in lines.getvalue().splitlines():
        typer.echo(line.rstrip())
