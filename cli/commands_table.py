"""The table of docs/commands.md, made from the commands themselves.

`python -m cli.commands_table` writes it.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from cli.connection import options
from cli.main import app

PAGE: Final = Path(__file__).parents[1] / "docs" / "commands.md"
HEADER: Final = "| Command | | Options |\n|---|---|---|\n"
_OF_ALL: Final = frozenset({"help", *inspect.signature(options.endpoint_options).parameters})
"""What the page tells of once: help, and which server to ask."""


def table() -> str:
    """A row for every command, in Markdown."""
    return HEADER + "".join(_rows(typer.main.get_command(app), "featom"))


def with_table(page: str) -> str:
    """A page with the table as it must be, in the place of the one that it has."""
    before, _, rest = page.partition(HEADER)
    _, _, after = rest.partition("\n\n")
    return f"{before}{table()}\n{after}"


def _rows(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _rows(command, f"{path} {name}")
            continue
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        usage = " ".join([path, name, *(_metavar(each) for each in arguments)])
        what = " ".join(inspect.cleandoc(command.help).partition("\n\n")[0].split())
        yield f"| `{usage}` | {what} | {_options_of(path, name, command)} |\n"


def _metavar(argument: Any) -> str:
    metavar: str = argument.metavar or argument.name.upper()
    return metavar


def _options_of(path: str, name: str, command: Any) -> str:
    if (path, name) == ("featom", "serve"):
        return "[settings.md](settings.md)"
    own = (
        each
        for each in command.params
        if each.param_type_name == "option" and each.name not in _OF_ALL
    )
    return ", ".join(f"`{max(each.opts, key=len)}`" for each in own)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
