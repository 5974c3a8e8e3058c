"""`featom smoke`: whether servers write and read, asked as any client asks."""

import time
import uuid
from typing import Annotated, Final

import typer

from cli import exits
from cli.connection.endpoint import Endpoint
from cli.connection.options import with_endpoint
from cli.connection.service import connected
from featom.v1.aggregate_pb2 import EntityKey, FeatureAggregate
from featom.v1.feature_store_pb2 import (
    Consistency,
    FeatureUpdate,
    GetAggregateRequest,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue

ENTITY_TYPE: Final = "featom_smoke"
ENTITY_ID: Final = "counter"
COUNT: Final = "count"

EXAMPLES: Final = {
    "smoke": """\b
Examples:
  featom smoke
  featom smoke --target featom.example.org:50051 --tls-ca ca.crt"""
}

_WRONG: Final = 1


@with_endpoint
def smoke(
    endpoint: Endpoint,
    entity_type: Annotated[
        str, typer.Option(help="The type of the entity `counter`, which is kept.")
    ] = ENTITY_TYPE,
) -> None:
    """Write a counter twice and read it. That is what a rollout must leave working.

    The exit code is 1 if the answers do not agree, 2 if there is none.
    """
    key = EntityKey(entity_type=entity_type, entity_id=ENTITY_ID)
    add = UpdateFeaturesRequest(
        key=key,
        updates=[FeatureUpdate(name=COUNT, increment=FeatureValue(int64_value=1))],
        request_id=str(uuid.uuid4()),
        return_aggregate=True,
    )
    read = GetAggregateRequest(key=key, consistency=Consistency(strong=True))
    began = time.monotonic()
    with connected(endpoint) as channel:
        store = FeatureStoreServiceStub(channel)
        written = store.UpdateFeatures(add)
        again = store.UpdateFeatures(add)
        found = store.GetAggregate(read).aggregate
    seconds = time.monotonic() - began
    for problem in (_not_replayed(written, again), _not_what_was_written(written, found)):
        if problem:
            raise exits.failed(f"{endpoint.target}: {problem}", _WRONG)
    typer.echo(
        f"{endpoint.target}: wrote and read {entity_type}/{ENTITY_ID} in {seconds:.3f} s:"
        f" {_described(found)}"
    )


def _not_replayed(written: UpdateFeaturesResponse, again: UpdateFeaturesResponse) -> str | None:
    """What is wrong with the answer to a request that was sent twice."""
    if again.replayed and again.version == written.version:
        return None
    return (
        f"a request that was sent twice was answered with version {written.version},"
        f" then with version {again.version}: it was not applied once"
    )


def _not_what_was_written(written: UpdateFeaturesResponse, found: FeatureAggregate) -> str | None:
    """What is wrong with what was read after the write."""
    # As this update left it; when the connection was lost and it was sent again, as it is now.
    left = written.aggregate
    same = found == left and (written.replayed or found.etag == written.etag)
    # A later version is somebody else's: another run has added to the counter meanwhile.
    later = found.version > left.version and _count(found) > _count(left)
    if same or later:
        return None
    return f"wrote {_described(left)}, but read {_described(found)}"


def _count(aggregate: FeatureAggregate) -> int:
    return aggregate.features[COUNT].value.int64_value if COUNT in aggregate.features else 0


def _described(aggregate: FeatureAggregate) -> str:
    return f"{COUNT} {_count(aggregate)}, version {aggregate.version}, etag {aggregate.etag}"
