"""`featom diff`: of files and entity types, or of two versions of an aggregate."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cli import exits
from cli.connection.endpoint import Endpoint
from cli.connection.options import with_endpoint
from cli.output.rows import JsonOption, Output, OutputOption, chosen

EXAMPLES: Final = {
    "diff": """\b
Examples:
  featom diff -f types/card.yaml
  featom diff -f types/ || featom apply -f types/
  featom diff card 4711 3 5
  featom diff card 4711 3              version 3 and the current one"""
}


@with_endpoint
def diff(
    endpoint: Endpoint,
    entity_type: Annotated[str | None, typer.Argument(metavar="[TYPE", show_default=False)] = None,
    entity_id: Annotated[str | None, typer.Argument(metavar="ID", show_default=False)] = None,
    version: Annotated[int | None, typer.Argument(min=1, metavar="VERSION")] = None,
    other: Annotated[
        int | None,
        typer.Argument(min=1, metavar="[VERSION]]", help="Without it: the current one."),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            show_default=False,
            help="A YAML file of entity types, or a folder of them; may be repeated.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show what `apply` would change, or how two versions differ.

    With files: what `featom apply` would change of entity types. With TYPE, ID and VERSION: which
    features of an entity differ from that version to the other one.
    The exit code is 1 if there is a difference.
    """
    if file and entity_type is None:
        from cli.entity_types import show_changes

        found = show_changes(file, endpoint)
    elif not file and entity_type is not None and entity_id is not None and version is not None:
        from cli.aggregates.comparing import compare_versions

        versions = (version, other)
        found = compare_versions(endpoint, entity_type, entity_id, versions, chosen(output, json))
    else:
        raise typer.BadParameter("give either files (-f), or TYPE, ID and VERSION")
    if found:
        raise typer.Exit(exits.FOUND)
