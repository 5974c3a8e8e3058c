"""A table of any cells, on the terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

FILE_WIDTH = 150  # of the output when it goes to a file


@dataclass(frozen=True)
class Grid:
    """Lines of cells below a heading; the columns named in `texts` are not numbers."""

    heading: Sequence[str]
    body: Sequence[Sequence[str]]
    texts: frozenset[str]
    notes: Sequence[str] = ()

    def show(self) -> None:
        """Print it."""
        table = Table()
        for name in self.heading:
            table.add_column(name, justify="left" if name in self.texts else "right")
        for line in self.body:
            table.add_row(*line)
        console = Console()
        console = console if console.is_terminal else Console(width=FILE_WIDTH)
        console.print(table)
        for note in self.notes:
            console.print(note, highlight=False)

    def markdown(self) -> str:
        """The table with the notes below it."""
        rules = ["---" if name in self.texts else "---:" for name in self.heading]
        lines = [self.heading, rules, *self.body]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([table, *self.notes])
