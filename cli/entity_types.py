"""The commands about entity types: clients of a server, like any other."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from featom_client import Client
from rich.console import Console
from rich.progress import Progress

from cli import exits
from cli.connection.calling import ask, calling
from cli.connection.endpoint import Endpoint
from cli.connection.options import with_endpoint
from cli.entity_type_files import DefinitionRefused, read_definitions, write_definition
from cli.findings import Findings
from featom.v1 import entity_type_pb2 as types_pb
from featom.v1 import entity_type_service_pb2 as pb

Files = Annotated[
    list[Path],
    typer.Option("--file", "-f", help="A YAML file, or a folder of them; may be repeated."),
]

EXAMPLES: Final = {
    "apply": """\b
Examples:
  featom apply -f types/card.yaml
  featom apply -f types/ --target featom.example.org:50051 --tls-ca ca.crt
  featom apply -f types/card.yaml --accept-existing""",
    "get_type": """\b
Examples:
  featom get-type card > types/card.yaml
  featom get-type card --revision 3""",
    "check": """\b
Examples:
  featom check card
  featom check card -f types/card.yaml    before it is applied""",
}
"""By the name of the function."""


@with_endpoint
def apply(
    file: Files,
    endpoint: Endpoint,
    accept_existing: Annotated[
        bool, typer.Option(help="Apply also what stored aggregates break; see `featom check`.")
    ] = False,
) -> None:
    """Make entity types what some files say. Applying the same again changes nothing."""
    mode = (
        pb.INCOMPATIBLE_CHANGE_ACCEPT_EXISTING if accept_existing else pb.INCOMPATIBLE_CHANGE_REFUSE
    )
    definitions = _definitions(file)
    with calling(endpoint) as client:
        for definition in definitions:
            request = pb.ApplyEntityTypeRequest(entity_type=definition, incompatible_change=mode)
            _show_differences(_apply(client, request), applied=True)


def show_changes(files: list[Path], endpoint: Endpoint) -> bool:
    """Show what `featom apply` would change; returns whether it is anything."""
    changes = False
    definitions = _definitions(files)
    with calling(endpoint) as client:
        for definition in definitions:
            request = pb.ApplyEntityTypeRequest(entity_type=definition, validate_only=True)
            answer = _apply(client, request)
            _show_differences(answer, applied=False)
            changes = changes or bool(answer.differences)
    return changes


@with_endpoint
def get_type(
    name: str,
    endpoint: Endpoint,
    revision: Annotated[int, typer.Option(help="0: the current one.")] = 0,
) -> None:
    """Write an entity type to standard output, ready to be applied."""
    with calling(endpoint) as client:
        request = pb.GetEntityTypeRequest(name=name, revision=revision)
        answer = ask(client, "GetEntityType", request, pb.GetEntityTypeResponse)
    typer.echo(f"# revision {answer.entity_type.revision}")
    typer.echo(write_definition(answer.entity_type), nl=False)


@with_endpoint
def check(
    name: Annotated[str, typer.Argument(metavar="TYPE")],
    endpoint: Endpoint,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Check against this definition, not the applied one."),
    ] = None,
) -> None:
    """Check every stored aggregate of a type. The exit code is 1 if one breaks something."""
    definition = _definition(file, name) if file else None
    checked = violating = 0
    findings = Findings()
    with calling(endpoint) as client, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"checking {name}", total=None)
        for page in _pages(client, name, definition):
            if page.aggregates:
                progress.update(task, total=page.aggregates)
            checked += page.checked
            for aggregate in page.violating:
                violating += 1
                findings.add(aggregate)
            progress.update(task, completed=checked)
    for line in findings.lines():
        typer.echo(line)
    typer.echo(f"{name}: {checked:,} aggregates checked, {violating:,} violating")
    if violating:
        raise typer.Exit(exits.FOUND)


def _pages(
    client: Client, name: str, definition: types_pb.EntityType | None
) -> Iterator[pb.CheckAggregatesResponse]:
    token = ""
    while True:
        request = pb.CheckAggregatesRequest(
            entity_type=name, page_token=token, definition=definition
        )
        page = ask(client, "CheckAggregates", request, pb.CheckAggregatesResponse)
        yield page
        token = page.next_page_token
        if not token:
            return


def _apply(client: Client, request: pb.ApplyEntityTypeRequest) -> pb.ApplyEntityTypeResponse:
    return ask(client, "ApplyEntityType", request, pb.ApplyEntityTypeResponse)


def _definitions(files: list[Path]) -> list[types_pb.EntityType]:
    """All of them: if one cannot be read, or stands there twice, nothing is asked for."""
    try:
        found = [definition for file in files for definition in read_definitions(file)]
    except (DefinitionRefused, OSError) as error:
        raise exits.failed(error, exits.USAGE) from error
    names = Counter(definition.name for definition in found)
    if twice := [name for name, count in names.items() if count > 1]:
        raise exits.failed(f"{', '.join(twice)}: defined more than once", exits.USAGE)
    return found


def _definition(file: Path, name: str) -> types_pb.EntityType:
    for definition in _definitions([file]):
        if definition.name == name:
            return definition
    raise exits.failed(f"{file}: there is no entity type {name} in it", exits.USAGE)


def _show_differences(answer: pb.ApplyEntityTypeResponse, *, applied: bool) -> None:
    definition = answer.entity_type
    if not answer.differences:
        typer.echo(f"{definition.name}: nothing to change, at revision {definition.revision}")
        return
    typer.echo(
        f"{definition.name}: now at revision {definition.revision}"
        if applied
        else f"{definition.name}: would change"
    )
    for each in answer.differences:
        mark = " " if each.compatible else "!"
        change = f"{each.before or '(nothing)'} → {each.after or '(nothing)'}"
        typer.echo(f"  {mark} {each.path}: {change}")
    if answer.violating_aggregates:
        typer.echo(f"  {answer.violating_aggregates:,} stored aggregates break it")
