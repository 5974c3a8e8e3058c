"""`featom types`: everything about entity types, under one name."""

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from cli.connection.calling import calling
from cli.connection.endpoint import Endpoint
from cli.connection.options import for_a_call
from cli.loading import SETTINGS, LazyCommands
from cli.output.rows import JsonOption, Output, OutputOption, chosen, write_rows

EXAMPLES: Final = {
    "list_types": """\b
Examples:
  featom types list
  featom types list --json""",
    "delete_type": """\b
Examples:
  featom types delete card
  featom types delete card --force    the aggregates stay, without rules""",
}
"""By the name of the function."""

COMMANDS: Final = {
    "list": "cli.types:list_types",
    "get": "cli.entity_types:get_type",
    "delete": "cli.types:delete_type",
    "apply": "cli.entity_types:apply",
    "check": "cli.entity_types:check",
}


class TypesCommands(TyperGroup):
    """Its commands, loaded when they are asked for."""

    def __init__(self, **of_group: Any) -> None:
        super().__init__(**of_group)
        self.commands = LazyCommands(self.commands, COMMANDS, "types")


app = typer.Typer(
    cls=TypesCommands,
    help="List, get, delete, apply and check entity types.",
    no_args_is_help=True,
    **SETTINGS,
)


@app.callback()
def types() -> None:
    pass


@for_a_call
def list_types(
    endpoint: Endpoint, output: OutputOption = Output.TABLE, json: JsonOption = False
) -> None:
    """List the entity types, with how much each one says."""
    with calling(endpoint) as client:
        rows = (
            {
                "name": each.name,
                "revision": each.revision,
                "features": len(each.features),
                "rules": len(each.rules),
                "additional_features": each.additional_features or "allow",
            }
            for each in client.list_entity_types()
        )
        columns = ("name", "revision", "features", "rules", "additional_features")
        write_rows(rows, columns, chosen(output, json))


@for_a_call
def delete_type(
    name: Annotated[str, typer.Argument(metavar="TYPE", show_default=False)],
    endpoint: Endpoint,
    etag: Annotated[
        str | None, typer.Option(show_default=False, help="Only if this is the current one.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also while there are aggregates of it, which stay.")
    ] = False,
) -> None:
    """Delete an entity type. Its aggregates are no longer checked."""
    with calling(endpoint) as client:
        client.delete_entity_type(name, etag=etag, force=force)
    typer.echo(f"{name}: deleted")
