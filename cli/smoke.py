"""`featom smoke`: whether servers write and read, asked as any client asks."""

import time
import uuid
from typing import Annotated, Final

import typer
from featom_client import Aggregate, Updated, inc
from featom_client.answers import absent

from cli import exits
from cli.connection.calling import calling
from cli.connection.endpoint import Endpoint
from cli.connection.options import with_endpoint

ENTITY_TYPE: Final = "featom_smoke"
ENTITY_ID: Final = "counter"
COUNT: Final = "count"

EXAMPLES: Final = {
    "smoke": """\b
Examples:
  featom smoke
  featom smoke --target featom.example.org:50051 --tls-ca ca.crt"""
}


@with_endpoint
def smoke(
    endpoint: Endpoint,
    entity_type: Annotated[
        str, typer.Option(help="The type of the entity `counter`, which is kept.")
    ] = ENTITY_TYPE,
) -> None:
    """Write a counter twice and read it. That is what a rollout must leave working.

    The exit code is 1 if the answers do not agree, 6 if there is none.
    """
    name = str(uuid.uuid4())
    began = time.monotonic()
    with calling(endpoint) as client:
        written, again = (
            client.update(
                entity_type, ENTITY_ID, {COUNT: inc(1)}, request_id=name, return_aggregate=True
            )
            for _ in range(2)
        )
        found = client.get(entity_type, ENTITY_ID)
    seconds = time.monotonic() - began
    for problem in (_not_replayed(written, again), _not_what_was_written(written, found)):
        if problem:
            raise exits.failed(f"{endpoint.target}: {problem}", exits.FOUND)
    typer.echo(
        f"{endpoint.target}: wrote and read {entity_type}/{ENTITY_ID} in {seconds:.3f} s:"
        f" {_described(found)}"
    )


def _not_replayed(written: Updated, again: Updated) -> str | None:
    """What is wrong with the answer to a request that was sent twice."""
    if again.replayed and again.version == written.version:
        return None
    return (
        f"a request that was sent twice was answered with version {written.version},"
        f" then with version {again.version}: it was not applied once"
    )


def _not_what_was_written(written: Updated, found: Aggregate) -> str | None:
    """What is wrong with what was read after the write."""
    # As this update left it; when the connection was lost and it was sent again, as it is now.
    left = written.aggregate or absent(found.entity_type, found.entity_id)
    same = found == left and (written.replayed or found.etag == written.etag)
    # A later version is somebody else's: another run has added to the counter meanwhile.
    later = found.version > left.version and _count(found) > _count(left)
    if same or later:
        return None
    return f"wrote {_described(left)}, but read {_described(found)}"


def _count(aggregate: Aggregate) -> int:
    return int(aggregate.get(COUNT, 0))


def _described(aggregate: Aggregate) -> str:
    return f"{COUNT} {_count(aggregate)}, version {aggregate.version}, etag {aggregate.etag}"
