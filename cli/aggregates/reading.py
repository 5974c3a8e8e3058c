"""`featom get` and `featom list`."""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final

import typer
from featom_client import Aggregate, Client

from cli import exits
from cli.aggregates.arguments import EntityType, Uid, moment
from cli.connection.calling import calling
from cli.connection.endpoint import Endpoint
from cli.connection.options import for_a_call
from cli.output.rows import JsonOption, Output, OutputOption, Row, chosen, write_json, write_rows
from cli.output.values import as_text, kind_of, printable, time_text

EXAMPLES: Final = {
    "get": """\b
Examples:
  featom get card 4711
  featom get card 4711 payments last_country --json
  featom get card 4711 --as-of-version 3
  featom get card 4711 --as-of-version 3 --uid 094de2d4-571e-48ed-a1fd-e5be4dcde89f
  featom get card 4711 --as-of-event-time 2026-01-31T12:00:00Z
  featom get card 4711 payments --id 4712 --id 4713
  featom get card - payments --output csv < ids.txt""",
    "list_aggregates": """\b
Examples:
  featom list card
  featom list card payments last_country --limit 20
  featom list card --limit 0 --json | jq .features.payments.value""",
}
"""By the name of the function."""

_FEATURE_COLUMNS: Final = ("feature", "kind", "value", "event_time", "version")
_AT_ONCE: Final = 1_000
"""Aggregates of one snapshot: what the contract has a batch of."""
_LIMIT: Final = 100

FeatureNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FEATURE]...", help="Only these features.", show_default=False),
]
Moment = Annotated[
    datetime | None,
    typer.Option(
        metavar="TIME",
        parser=moment,
        show_default=False,
        help="Read the past, as of a time such as 2026-01-31T12:00:00Z.",
    ),
]


@for_a_call
def get(
    entity_type: EntityType,
    entity_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The entity's id; - reads ids from standard input, one a line."
        ),
    ],
    endpoint: Endpoint,
    features: FeatureNames = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", show_default=False, help="One more entity; repeatable."),
    ] = None,
    as_of_version: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Read the past, by its version.")
    ] = None,
    as_of_commit_time: Moment = None,
    as_of_event_time: Moment = None,
    uid: Uid = None,
    read_time: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            parser=moment,
            show_default=False,
            help="With --as-of-version: what had expired at that time is left out, as it was then.",
        ),
    ] = None,
    eventual: Annotated[
        bool, typer.Option(help="Any version will do that was current lately.")
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Read the features of one entity, or of several.

    Of several there is a row for each. Up to 1,000 entities are read in one snapshot. The exit code
    is 3 if one is not there.
    """
    past: dict[str, Any] = {
        "as_of_version": as_of_version,
        "as_of_commit_time": as_of_commit_time,
        "as_of_event_time": as_of_event_time,
    }
    asked = [name for name, value in past.items() if value is not None]
    if len(asked) > 1:
        raise typer.BadParameter("one --as-of-… at most can be given")
    past |= {"uid": uid, "read_time": read_time}
    asked += [name for name in ("uid", "read_time") if past[name] is not None]
    written = chosen(output, json)
    if entity_id != "-" and not more:
        with calling(endpoint) as client:
            found = client.get(entity_type, entity_id, features, eventual=eventual, **past)
        write_one(found, written)
        return
    if asked:
        raise typer.BadParameter(f"--{asked[0].replace('_', '-')} is for one entity")
    ids = [*(_ids_of_stdin() if entity_id == "-" else [entity_id]), *(more or ())]
    with calling(endpoint) as client:
        missing = _write_many(client, entity_type, ids, features, eventual, written)
    if missing:
        listed = ", ".join(map(printable, missing[:10]))
        more_of_them = ", …" if len(missing) > 10 else ""
        problem = f"not there: {listed}{more_of_them} ({len(missing):,} of {len(ids):,})"
        raise exits.failed(problem, exits.NOT_FOUND)


@for_a_call
def list_aggregates(
    entity_type: EntityType,
    endpoint: Endpoint,
    features: FeatureNames = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many entities; 0: all.")] = _LIMIT,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """List the entities of a type by id, with their features.

    Pages are read as they are written. It is no snapshot of all of them.
    """
    written = chosen(output, json)
    with calling(endpoint) as client:
        listed = client.list(entity_type)
        shown = islice(listed, limit) if limit else listed
        _write_aggregates(shown, features, written)
        there_are_more = limit > 0 and next(listed, None) is not None
    if there_are_more:
        typer.echo(f"featom: there are more than {limit:,}; --limit 0 lists all", err=True)


def aggregate_json(found: Aggregate, features: Sequence[str] | None = None) -> dict[str, Any]:
    """An aggregate as one JSON object."""
    names = [name for name in found if not features or name in features]
    return {
        "entity_type": found.entity_type,
        "entity_id": found.entity_id,
        "version": found.version,
        "etag": found.etag,
        "uid": found.uid,
        "create_time": time_text(found.create_time),
        "update_time": time_text(found.update_time),
        "features": {name: _feature(found, name) for name in names},
        "expired": list(found.expired),
        "inexact": list(found.inexact),
    }


def _feature(found: Aggregate, name: str) -> dict[str, Any]:
    value = found[name]
    return {
        "kind": kind_of(value),
        "value": value,
        "event_time": time_text(found.event_time(name)),
        "version": found.changed_in(name),
    }


def write_one(found: Aggregate, output: Output = Output.TABLE) -> None:
    """Write one aggregate, a row for each of its features."""
    if output is Output.JSON:
        write_json(aggregate_json(found))
        return
    if output is Output.TABLE:
        typer.echo(f"{found.entity_type}/{printable(found.entity_id)}  version {found.version}")
        typer.echo(f"updated {time_text(found.update_time)}  etag {found.etag or '(of the past)'}")
        if found.expired:
            typer.echo(f"expired: {', '.join(found.expired)}")
        if found.inexact:
            typer.echo(f"inexact: {', '.join(found.inexact)}")
        typer.echo()
    rows = ({"feature": name, **_feature(found, name)} for name in found)
    write_rows(rows, _FEATURE_COLUMNS, output)


def _write_many(
    client: Client,
    entity_type: str,
    ids: Sequence[str],
    features: Sequence[str] | None,
    eventual: bool,
    output: Output,
) -> list[str]:
    """Writes what there is; returns what is missing, each once."""
    missing: dict[str, None] = {}

    def found() -> Iterator[Aggregate]:
        for start in range(0, len(ids), _AT_ONCE):
            together = ids[start : start + _AT_ONCE]
            table = client.get_many(entity_type, together, features, eventual=eventual)
            missing.update(dict.fromkeys(table.missing))
            yield from (each for each in table if each is not None)

    _write_aggregates(found(), features, output)
    return list(missing)


def _write_aggregates(
    found: Iterator[Aggregate], features: Sequence[str] | None, output: Output
) -> None:
    """A row each: a column for each feature that was asked for, or all of them in one."""
    if output is Output.JSON:
        for each in found:
            write_json(aggregate_json(each, features))
        return
    columns = ["entity_id", "version", "update_time", *(features or ["features"])]
    write_rows((_row(each, features, output) for each in found), columns, output)


def _row(found: Aggregate, features: Sequence[str] | None, output: Output) -> Row:
    values: dict[str, Any]
    if features:
        values = {name: found.get(name) for name in features}
    elif output is Output.TABLE:
        values = {"features": "  ".join(f"{name}={as_text(found[name])}" for name in found)}
    else:
        values = {"features": dict(found)}
    # A feature may have the name of a column, but not its meaning.
    return values | {
        "entity_id": found.entity_id,
        "version": found.version,
        "update_time": found.update_time,
    }


def _ids_of_stdin() -> list[str]:
    return [line.rstrip("\r\n") for line in sys.stdin if line.strip()]
