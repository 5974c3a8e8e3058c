"""`featom history`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain, islice
from typing import Annotated, Final

import typer
from featom_client import AggregateChange

from cli import exits
from cli.aggregates.arguments import EntityId, EntityType, Uid
from cli.connection.calling import calling
from cli.connection.endpoint import Endpoint
from cli.connection.options import for_a_call
from cli.output.rows import JsonOption, Output, OutputOption, Row, chosen, write_rows
from cli.output.values import as_text, printable

EXAMPLES: Final = {
    "history": """\b
Examples:
  featom history card 4711
  featom history card 4711 --oldest-first --limit 0 --json
  featom history card 4711 --limit 1 --json | jq .commit_time"""
}

_COLUMNS: Final = ("version", "commit_time", "changes", "actor", "incarnation")
_STYLES: Final = {"deleted": "red"}


@for_a_call
def history(
    entity_type: EntityType,
    entity_id: EntityId,
    endpoint: Endpoint,
    limit: Annotated[int, typer.Option(min=0, help="At most so many changes; 0: all.")] = 100,
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="Begin with the oldest change.")
    ] = False,
    uid: Uid = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """List the changes of one entity, newest first.

    All incarnations are in it, also of an entity that is deleted. The exit code is 3 if there is no
    change.
    """
    written = chosen(output, json)
    with calling(endpoint) as client:
        found = client.history(entity_type, entity_id, uid=uid, oldest_first=oldest_first)
        first = next(found, None)
        if first is None:
            key = f"{entity_type}/{printable(entity_id)}"
            raise exits.failed(f"{key}: no change of it is kept", exits.NOT_FOUND)
        listed = chain([first], found)
        _write(islice(listed, limit) if limit else listed, written)
        there_are_more = limit > 0 and next(listed, None) is not None
    if there_are_more:
        typer.echo(f"featom: there are more than {limit:,}; --limit 0 lists all", err=True)


def _write(changes: Iterable[AggregateChange], output: Output) -> None:
    rows = map(asdict, changes) if output is Output.JSON else map(_row, changes)
    write_rows(rows, _COLUMNS, output, lambda row: _STYLES.get(row["changes"], ""))


def _row(change: AggregateChange) -> Row:
    return {
        "version": change.version,
        "commit_time": change.commit_time,
        "changes": "  ".join(_described(change)),
        "actor": change.actor,
        "incarnation": change.uid[:8],
    }


def _described(change: AggregateChange) -> Iterator[str]:
    if change.deleted:
        yield "deleted"
    for name, value in change.features.items():
        yield f"{name}={as_text(value)}"
    for name in change.removed:
        yield f"-{name}"
    for name, value in change.late.items():
        yield f"(late) {name}={as_text(value)}"
