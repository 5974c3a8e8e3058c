"""The `featom` command."""

import os
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from cli.completion import COMPLETE, prepare
from cli.loading import SETTINGS, LazyCommands

HELP: Final = """Featom, a transactional feature store.

`featom COMMAND -h` tells of a command, with examples. Options are also read from the variables
that stand beside them."""

FIRST_STEPS: Final = """\b
First steps:
  featom serve                     with a PostgreSQL of its own, in ./data
  featom update card 4711 payments+=1 last_country=NO
  featom get card 4711             in another terminal
  featom apply -f types/card.yaml  an entity type
\b
With a PostgreSQL of yours:
  export FEATOM_DSN=postgresql://featom@db.example.org/featom
  featom migrate
  featom serve"""

COMMANDS: Final = {
    "serve": "cli.serving:serve",
    "get": "cli.aggregates.reading:get",
    "list": "cli.aggregates.reading:list_aggregates",
    "update": "cli.aggregates.writing:update",
    "delete": "cli.aggregates.writing:delete",
    "history": "cli.aggregates.history:history",
    "diff": "cli.differences:diff",
    "apply": "cli.entity_types:apply",
    "check": "cli.entity_types:check",
    "get-type": "cli.entity_types:get_type",
    "types": "cli.types:app",
    "doctor": "cli.doctor.command:doctor",
    "bench": "cli.bench.command:bench",
    "smoke": "cli.smoke:smoke",
    "migrate": "cli.migrate:app",
    "backfill": "cli.migrate:backfill",
    "retention": "cli.retention:retention",
    "completion": "cli.completion:completion",
}
"""Where each command is. It is loaded when it is asked for: `featom get` needs no server."""


class Commands(TyperGroup):
    """The commands, of which only the one that is asked for is loaded."""

    def __init__(self, **of_group: Any) -> None:
        super().__init__(**of_group)
        self.commands = LazyCommands(self.commands, COMMANDS)

    def main(self, *arguments: Any, **options: Any) -> Any:
        if COMPLETE in os.environ:
            prepare()
        return super().main(*arguments, **options)


app = typer.Typer(
    cls=Commands,
    help=HELP,
    epilog=FIRST_STEPS,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    **SETTINGS,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from repository.migrations.window import BUILD

        typer.echo(f"featom {version('featom')} (build {BUILD})")
        raise typer.Exit


@app.callback()
def featom(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_say_version,
            is_eager=True,
            help="Say which version this is, and which build of the schema it needs.",
        ),
    ] = False,
) -> None:
    pass


@app.command("help", hidden=True)
def help_(command: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """`featom help apply` is `featom apply --help`."""
    app([*(command or ()), "--help"], prog_name="featom")
