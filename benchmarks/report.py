"""Where the table goes: to the terminal, and as Markdown into the README."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.row import Row
from benchmarks.table import TEXTS, lines

README = Path(__file__).with_name("README.md")
FILE_WIDTH = 130  # of the output when it goes to a file


def progress(line: str) -> None:
    """Say what happens, on stderr."""
    print(line, file=sys.stderr)


def show(rows: Sequence[Row], relative_to: str, notes: Sequence[str]) -> None:
    """Print the table."""
    heading, *body = lines(rows, relative_to)
    table = Table()
    for name in heading:
        table.add_column(
            name, justify="left" if name in TEXTS else "right", no_wrap=name == "workload"
        )
    for line in body:
        table.add_row(*line)
    console = Console()
    console = console if console.is_terminal else Console(width=FILE_WIDTH)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def markdown(rows: Sequence[Row], relative_to: str, notes: Sequence[str]) -> str:
    """The table with the notes below it."""
    heading, *body = lines(rows, relative_to)
    rules = ["---" if name in TEXTS else "---:" for name in heading]
    table = "\n".join(f"| {' | '.join(line)} |" for line in [heading, rules, *body])
    return "\n\n".join([table, *notes])


def write(section: str, content: str) -> None:
    """Replace what stands between the markers of `section` in the README."""
    begin, end = f"<!-- {section}:begin -->", f"<!-- {section}:end -->"
    before, _, rest = README.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{README.name} has no markers of {section}")
    README.write_text(f"{before}{begin}\n{content}\n{end}{after}")
