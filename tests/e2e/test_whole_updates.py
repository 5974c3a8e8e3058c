"""An update is taken whole or not at all, and a refusal names everything that is wrong."""

import math

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from featom.v1.feature_store_pb2 import FeatureUpdate, GetAggregateRequest
from featom.v1.value_pb2 import FeatureValue
from tests.kit.server_process import running_server
from tests.kit.stubs import connected, failure_of
from tests.kit.vectors import NAMES, key_of, numbers_in, set_all


async def test_one_bad_value_among_50_good_ones_changes_nothing_and_all_that_is_wrong_is_named(
    database: str,
) -> None:
    async with running_server(dsn=database) as server, connected(server.address) as store:
        first = await store.UpdateFeatures(set_all("entity", 1))
        bad = set_all("entity", 2)
        bad.updates[7].set.CopyFrom(FeatureValue(string_value="of another kind"))
        bad.updates[30].set.CopyFrom(FeatureValue(double_value=math.nan))
        bad.updates[49].increment.CopyFrom(FeatureValue(int64_value=2**63 - 1))
        bad.updates.append(FeatureUpdate(name="no name", set=FeatureValue(int64_value=1)))
        bad.updates.append(FeatureUpdate(name=NAMES[0], set=FeatureValue(int64_value=1)))

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await store.UpdateFeatures(bad)
        bad.key.entity_id = "another"
        with pytest.raises(grpc.aio.AioRpcError) as refused_too:
            await store.UpdateFeatures(bad)

        failure = failure_of(refused.value)
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_VALUE",
        )
        assert violated_fields(refused.value) == {
            "updates[7].set",
            "updates[30].set",
            "updates[49].increment",
            "updates[50].name",
            "updates[51].name",
        }
        assert failure_of(refused_too.value).code is grpc.StatusCode.INVALID_ARGUMENT
        found = (await store.GetAggregate(GetAggregateRequest(key=key_of("entity")))).aggregate
        assert (found.version, found.etag, numbers_in(found)) == (1, first.etag, {1})
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await store.GetAggregate(GetAggregateRequest(key=key_of("another")))
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND


def violated_fields(error: grpc.aio.AioRpcError) -> set[str]:
    request = BadRequest()
    metadata = dict(error.trailing_metadata() or ())
    for detail in Status.FromString(metadata["grpc-status-details-bin"]).details:
        detail.Unpack(request)
    return {violation.field for violation in request.field_violations}
