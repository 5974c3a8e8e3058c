"""`featom update` and `featom delete`."""

import sys
import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from featom_client import Updated

from cli import exits
from cli.aggregates.arguments import EntityId, EntityType, RequestId, moment
from cli.aggregates.assignments import AssignmentsRefused, read_assignments, read_json
from cli.aggregates.reading import aggregate_json, write_one
from cli.connection.calling import calling
from cli.connection.endpoint import Endpoint
from cli.connection.options import for_a_call
from cli.output.rows import JsonOption, write_json
from cli.output.values import printable, time_text

EXAMPLES: Final = {
    "update": """\b
Values:
  NAME=VALUE            sets: true and false are bools, 5 is an int64, 5.0 a double,
                        [1, 2] a list, all else a string
  NAME=KIND:VALUE       says the kind: bool, int64, double, string, bytes (Base64), timestamp,
                        bool_list, int64_list, double_list, string_list, float_vector
  NAME+=VALUE           adds
  NAME=max:VALUE        keeps the larger one; min: the smaller one
  NAME=append:VALUE     appends an element, or a list of them
  -                     reads a JSON object: {"n": {"increment": 1}, "v": {"float_vector": [0.5]}}
\b
Examples:
  featom update card 4711 payments+=1 largest=max:49.90 last_country=NO
  featom update card 4711 merchants=append:m-17 --keep 5 --event-time 2026-01-31T12:00:00Z
  featom update card 4711 code=string:0047 embedding='float_vector:[0.1, 0.2]'
  featom update card 4711 limit=500 --must-be-absent
  echo '{"spent": {"increment": 49.9}}' | featom update card 4711 -""",
    "delete": """\b
Examples:
  featom delete card 4711
  featom delete card 4711 --erase-history --yes""",
}
"""By the name of the function."""

Etag = Annotated[
    str | None,
    typer.Option(show_default=False, help="Only if this is the current one; else exit code 5."),
]


@for_a_call
def update(
    entity_type: EntityType,
    entity_id: EntityId,
    endpoint: Endpoint,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="What to change; see below."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="Remove a feature; repeatable."),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=0, help="Appends keep so many newest elements; 0: all.")
    ] = 0,
    event_time: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            parser=moment,
            show_default=False,
            help="When it happened, such as 2026-01-31T12:00:00Z; without it: now.",
        ),
    ] = None,
    etag: Etag = None,
    must_be_absent: Annotated[
        bool, typer.Option("--must-be-absent", help="Only if there is none yet; else exit code 5.")
    ] = False,
    request_id: RequestId = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Say whether it would be taken; write nothing.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Also write the aggregate, as it then is.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Change several features of one entity: all of them, or none."""
    wanted = _changes(changes or [], remove or [], keep)
    name = request_id or str(uuid.uuid4())
    with calling(endpoint, "" if validate_only else name) as client:
        done = client.update(
            entity_type,
            entity_id,
            wanted,
            event_time=event_time,
            etag=etag,
            must_be_absent=must_be_absent,
            request_id=name,
            validate_only=validate_only,
            return_aggregate=show,
        )
    if json:
        write_json(_as_json(done, validate_only, name))
        return
    key = f"{entity_type}/{printable(entity_id)}"
    typer.echo(_sentence(key, done, validate_only))
    if done.stale:
        typer.echo(f"too late, and only in the history: {', '.join(done.stale)}")
    if done.aggregate is not None:
        write_one(done.aggregate)


@for_a_call
def delete(
    entity_type: EntityType,
    entity_id: EntityId,
    endpoint: Endpoint,
    etag: Etag = None,
    request_id: RequestId = None,
    erase_history: Annotated[
        bool,
        typer.Option("--erase-history", help="Also erase all that it ever was, for good."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before erasing.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete one entity's features. Their history stays unless that is erased too."""
    key = f"{entity_type}/{printable(entity_id)}"
    if erase_history and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("--erase-history needs --yes where nobody can be asked")
        typer.confirm(f"Erase {key} with its whole history, for good?", abort=True)
    name = request_id or str(uuid.uuid4())
    with calling(endpoint, name) as client:
        done = client.delete(
            entity_type, entity_id, etag=etag, request_id=name, erase_history=erase_history
        )
    if json:
        write_json(asdict(done) | {"request_id": name})
        return
    again = ", as a request before had it" if done.replayed else ""
    typer.echo(f"{key}: deleted at version {done.version}{again}")


def _changes(changes: list[str], removed: list[str], keep: int) -> dict[str, Any]:
    if not changes and not removed:
        raise typer.BadParameter("say what to change: NAME=VALUE, --remove NAME, or - for JSON")
    try:
        if changes == ["-"]:
            if removed:
                raise AssignmentsRefused('--remove does not go with -: say {"remove": true}')
            return read_json(sys.stdin.read(), keep)
        return read_assignments(changes, removed, keep)
    except AssignmentsRefused as error:
        raise exits.failed(error, exits.USAGE) from error


def _as_json(done: Updated, validated_only: bool, request_id: str) -> dict[str, Any]:
    found = done.aggregate
    return {
        "version": done.version,
        "etag": done.etag,
        "update_time": time_text(done.update_time),
        "stale": list(done.stale),
        "replayed": done.replayed,
        "validated_only": validated_only,
        "request_id": request_id,
        "aggregate": None if found is None else aggregate_json(found),
    }


def _sentence(key: str, done: Updated, validated_only: bool) -> str:
    if validated_only:
        return f"{key}: would be taken"
    if done.replayed:
        return f"{key}: the request is known, and was applied as version {done.version}"
    return f"{key}: version {done.version}, etag {done.etag}"
